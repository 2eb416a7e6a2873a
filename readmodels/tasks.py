"""Step 4: the Celery tasks. They carry no data, keep no result and are never retried: the next sweep does it again."""

from celery import shared_task

from readmodels import projector, sweeping
from readmodels.outbox import Lane
from readmodels.store import Store
from readmodels.wake import Wake, clear_flag


@shared_task(name="readmodels.drain")
def drain() -> int:
    """Project what is pending now."""
    clear_flag()
    return projector.settle(Store(), ask_for_help=wake)


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
    return sweeping.repair(Store())


def ask_for_repair() -> None:
    """A worker, if one is free within the second, repairs; what waits longer is dropped, or it would pile up."""
    repair.apply_async(expires=1.0)


def ask_for_bulk() -> None:
    """A bulk worker, if one is free within the second, takes part."""
    drain_bulk.apply_async(expires=1.0)


wake = Wake(publish=drain.delay)
