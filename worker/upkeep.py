"""The worker looks after its processes each half second: Celery does every 5 s, and so long a killed task's place is
kept after `worker_lost_wait` is over, while changes wait.
"""

from typing import Any

from celery import bootsteps

UPKEEP_SECONDS = 0.5


class Upkeep(bootsteps.Step):  # type: ignore[misc]  # celery has no types
    """Killed processes are replaced and what they held is let go; called once for each connection to the broker."""

    requires = {"celery.worker.components:Pool"}

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        self.timer: Any = None
        super().__init__(parent, **kwargs)

    def register_with_event_loop(self, parent: Any, hub: Any) -> None:
        """Called by the worker whenever its loop begins, with each connection to the broker."""
        if self.timer is not None:
            self.timer.cancel()
        self.timer = hub.call_repeatedly(UPKEEP_SECONDS, parent.pool.maintain_pool)
