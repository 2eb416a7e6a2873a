"""Hands out the key ranges of a generation that is being filled, one after the other, to every process that takes part.

All of it is kept in PostgreSQL, so a range that a killed process held is taken up by another. Who holds a range only
saves double work: the version guard makes a range that is filled twice harmless.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from readmodels import building, models
from readmodels.builds import require_wanted
from readmodels.conf import conf
from readmodels.generations import Generation


@dataclass(frozen=True)
class Range:
    """The root keys after one (None: from the first) up to another (None: to the last), and how many share the work."""

    id: int
    after: str | None
    upto: str | None
    processes: int


@transaction.atomic
def following(generation: Generation, holder: str, done: Range | None = None, rows: int = 0) -> Range | None:
    """The range in hand, which had so many rows, is done, and the one returned is the holder's for a while.

    None: all is handed out, or enough processes are at it. Raises RebuildCancelled where nobody wants it any more.
    """
    require_wanted(generation)
    # Locked, so that one after the other takes: it is over in some ms, and a range takes a hundred.
    build = models.Build.objects.select_for_update().get(generation_id=generation.id)
    ranges = models.BuildRange.objects.filter(generation_id=generation.id)
    if done and ranges.filter(id=done.id, holder=holder).delete()[0]:
        models.Build.objects.filter(generation_id=generation.id).update(rows=F("rows") + rows, updated_at=Now())
    others = ranges.filter(held_until__gte=Now()).exclude(holder=holder).count()
    if others >= conf().rebuild_processes or not build.target:
        return None
    left = ranges.filter(held_until__lt=Now()).order_by("id").first() or _cut(generation, build)
    if left:
        ranges.filter(id=left.id).update(holder=holder, held_until=Now() + _longest())
        return Range(left.id, left.after, left.upto, others + 1)
    if not ranges.exists():
        models.Build.objects.filter(generation_id=generation.id, filled_at=None).update(filled_at=Now())
    return None


def give_back(generation: Generation, holder: str) -> None:
    """What the holder has in hand is free for whoever comes next."""
    held = models.BuildRange.objects.filter(generation_id=generation.id, holder=holder)
    held.update(held_until=Now() - timedelta(seconds=1))


def _cut(generation: Generation, build: models.Build) -> models.BuildRange | None:
    """The next range of what was never handed out; None where all was.

    Which rows there are now does not matter: those that come later are projected into the generation by themselves.
    """
    if build.is_handed_out:
        return None
    with connection.cursor() as cursor:
        upto = building.root_after(cursor, generation.plan, build.handed_out, _rows())
    models.Build.objects.filter(generation_id=generation.id).update(
        handed_out=build.handed_out if upto is None else upto, is_handed_out=upto is None
    )
    return models.BuildRange.objects.create(generation_id=generation.id, after=build.handed_out, upto=upto)


def _longest() -> timedelta:
    """A range that is not done by then is another's, the pause for the throttle included."""
    pause = _rows() * conf().rebuild_processes / conf().rebuild_rows_per_second
    return timedelta(seconds=conf().repair_lease_seconds + pause)


def _rows() -> int:
    return conf().batch_rows * conf().range_batches
