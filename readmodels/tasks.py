"""Step 4: the Celery tasks. They carry no data, keep no result and are never retried: the next sweep does it again."""

from celery import shared_task

from readmodels import projector, rebuild, sweeping
from readmodels.store import Store
from readmodels.wake import Wake, clear_flag


@shared_task(name="readmodels.drain")
def drain() -> int:
    """Project what is pending now."""
    clear_flag()
    return projector.settle(Store(), ask_for_help=wake)


@shared_task(name="readmodels.sweep")
def sweep() -> None:
    """Find what no wake announced, and tell every bucket how far the read models are."""
    sweeping.sweep(Store(), ask_for_repair=repair.delay)


@shared_task(name="readmodels.repair")
def repair() -> bool:
    """Build what is lost or new."""
    return rebuild.repair(Store())


wake = Wake(publish=drain.delay)
