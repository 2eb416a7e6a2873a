"""What beat starts, and how often. In code: no table to be migrated, no admin to forget it in."""

from datetime import datetime, timedelta
from typing import Any

from celery.schedules import schedule

SECOND = timedelta(seconds=1)


class EachSecond(schedule):  # type: ignore[misc]  # celery has no types
    """Due once a second, at one moment of it. Sweep and scrub take 15 ms of CPU each: at once they would leave no core
    to a change that comes meanwhile.
    """

    def __init__(self, at_seconds: float) -> None:
        super().__init__(SECOND, relative=True)  # beat looks again at that moment, however late it was
        self.at_seconds = at_seconds

    def remaining_estimate(self, last_run_at: datetime) -> timedelta:
        """Until the first such moment after the last run; not positive: it has passed."""
        at = timedelta(seconds=self.at_seconds)
        full = (self.maybe_make_aware(last_run_at) - at).replace(microsecond=0)
        due: timedelta = full + SECOND + at - self.maybe_make_aware(self.now())
        return due

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EachSecond) and self.at_seconds == other.at_seconds

    def __hash__(self) -> int:
        return hash(self.at_seconds)

    def __reduce__(self) -> tuple[Any, ...]:
        """Beat keeps its entries in a file."""
        return EachSecond, (self.at_seconds,)


# What could not start before the next one is due is dropped, so that none pile up behind a stopped worker.
SCHEDULE = {
    "sweep": {"task": "readmodels.sweep", "schedule": EachSecond(0.0), "options": {"expires": 1.0}},
    "scrub": {"task": "readmodels.scrub", "schedule": EachSecond(0.4), "options": {"expires": 1.0}},
    "chores": {"task": "readmodels.chores", "schedule": EachSecond(0.7), "options": {"expires": 1.0}},
}
