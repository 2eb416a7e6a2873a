"""The worker looks after its processes five times a second. Celery does every 5 s, where it doesn't notice a death at
once: so long nothing replaced the killed process, and the place of its task was kept, while changes waited.
"""

from typing import Any

from celery import bootsteps

UPKEEP_SECONDS = 0.2


class Upkeep(bootsteps.StartStopStep):  # type: ignore[misc]  # celery has no types
    """Killed processes are replaced, and what they held is let go."""

    requires = {"celery.worker.components:Pool"}
    timer: Any = None

    def register_with_event_loop(self, parent: Any, hub: Any) -> None:
        """Called by the worker whenever its loop begins, with each connection to the broker."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = hub.call_repeatedly(UPKEEP_SECONDS, parent.pool.maintain_pool)
