"""Step 4: the Celery tasks. They carry no data, keep no result and are never retried: the next sweep does it again."""

import time

import structlog
from celery import shared_task
from celery.exceptions import SoftTimeLimitExceeded

from readmodels import chores, projector, scrub, sweeping
from readmodels.outbox import Lane
from readmodels.store import Store
from readmodels.wake import WAIT_SECONDS, Wake, clear_flag, is_called, send

log = structlog.get_logger()

SCRUB_SECONDS = 1.0


@shared_task(name="readmodels.drain")
def drain() -> int:
    """Project what is pending now, and what is written just after it."""
    waits_until = time.monotonic() + WAIT_SECONDS
    clear_flag()
    projected, has_work = 0, True
    while has_work:
        projected += projector.settle(Store(), ask_for_help=wake)
        has_work = is_called(waits_until)
    return projected


@shared_task(name="readmodels.drain_bulk")
def drain_bulk() -> int:
    """Project what large fan-outs left."""
    return projector.settle(Store(), Lane.BULK, ask_for_help=ask_for_bulk)


@shared_task(name="readmodels.sweep")
def sweep() -> None:
    """Find what no wake announced, and tell every bucket how far the read models are."""
    sweeping.sweep(Store(), ask_for_repair=ask_for_repair, ask_for_bulk=ask_for_bulk)


@shared_task(name="readmodels.repair")
def repair() -> bool:
    """Build what is lost or new."""
    store = Store()
    return sweeping.repair(store, on_range=ScrubBetween(store))


@shared_task(name="readmodels.scrub")
def scrub_step() -> None:
    """Compare the next stretch with a fresh build."""
    scrub.step(Store())


@shared_task(name="readmodels.chores")
def do_chores() -> None:
    """Do what apps want done now and then, as far as it is due."""
    chores.do_due(Store())


class ScrubBetween:
    """Called between the ranges of a repair, which may hold the queue's only process for minutes: the scrub goes on.

    One step a second, and none that fails stops the repair.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._due = time.monotonic() + SCRUB_SECONDS

    def __call__(self, name: str, rows: int) -> None:
        """A step is done, if it is due."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + SCRUB_SECONDS
        try:
            scrub.step(self._store)
        except SoftTimeLimitExceeded:  # it is the repair's
            raise
        except Exception:  # whatever it is, building what is lost matters more
            log.warning("scrub_failed", exc_info=True)


def ask_for_repair() -> None:
    """A worker, if one is free within the second, repairs; what waits longer is dropped, or it would pile up."""
    repair.apply_async(expires=1.0)


def ask_for_bulk() -> None:
    """A bulk worker, if one is free within the second, takes part."""
    drain_bulk.apply_async(expires=1.0)


wake = Wake(send)
