"""How far the filling of each new generation is: kept in PostgreSQL, for who takes it up and for who looks on."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Extract, Now

from readmodels import models
from readmodels.errors import RebuildCancelled
from readmodels.generations import Generation
from readmodels.models import GenerationState
from readmodels.snapshot import Snapshot, is_visible

MOST_COUNTED = 1_000_000  # rows: a tenth of a second


@dataclass(frozen=True)
class Progress:
    """How far a rebuild is, and how many processes fill it. `expected_rows` is what there was at its beginning, in a
    large table an estimate; `seconds_left` None: it can't be said yet.
    """

    read_model: str
    generation: int
    rows: int
    expected_rows: int
    rows_per_second: float
    seconds_left: float | None
    is_filled: bool
    processes: int
    started_at: datetime


@transaction.atomic
def resumed(generation: Generation, target: str) -> models.Build:
    """Where the filling goes on. It begins anew where it went to another Redis, or to buckets that were lost since."""
    build = models.Build.objects.select_for_update().get(generation_id=generation.id)
    rows = models.Build.objects.filter(generation_id=generation.id)
    ranges = models.BuildRange.objects.filter(generation_id=generation.id)
    if build.target != target:
        ranges.delete()
        rows.update(
            target=target,
            handed_out=None,
            is_handed_out=False,
            rows=0,
            expected_rows=_count(generation),
            filled_at=None,
            started_at=Now(),
            updated_at=Now(),
            paused_seconds=0.0,
        )
    elif not ranges.filter(held_until__gte=Now()).exists():
        rows.update(paused_seconds=F("paused_seconds") + Extract(Now() - F("updated_at"), "epoch"), updated_at=Now())
    return rows.get()


def _count(generation: Generation) -> int:
    """The rows of the root: exactly where they are quickly counted, else as the table's statistics have them."""
    table = connection.ops.quote_name(generation.plan.root_table)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM (SELECT FROM {table} LIMIT %s) r", [MOST_COUNTED])
        counted = int(cursor.fetchone()[0])
        if counted < MOST_COUNTED:
            return counted
        cursor.execute("SELECT greatest(reltuples, %s) FROM pg_class WHERE oid = %s::regclass", [counted, table])
        return int(cursor.fetchone()[0])


def is_registered_after(generation: Generation, xid: int, now: Snapshot) -> bool:
    """Whether the generation is certainly newer than what this transaction did, so that all of it shows that.

    Only within an epoch: ids are handed out again.
    """
    build = models.Build.objects.filter(generation_id=generation.id, epoch=now.epoch).first()
    return build is not None and is_visible(xid, build.registered)


def is_filled(generation: Generation) -> bool:
    """Whether every range was filled."""
    return models.Build.objects.filter(generation_id=generation.id, filled_at__isnull=False).exists()


def require_wanted(generation: Generation) -> None:
    """Raises RebuildCancelled unless the generation is still to be built; until a transaction ends, it stays so."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT state FROM readmodels_generation WHERE id = %s FOR SHARE", [generation.id])
        if cursor.fetchone() != (GenerationState.BUILDING,):
            raise RebuildCancelled(f"generation {generation.number} of {generation.plan.name} is not to be built")


def progress() -> list[Progress]:
    """Every rebuild under way."""
    wanted = models.Generation.objects.filter(state=GenerationState.BUILDING).order_by("read_model", "number")
    by_id = {build.generation_id: build for build in models.Build.objects.all()}
    held = models.BuildRange.objects.filter(held_until__gte=Now()).values_list("generation_id", flat=True)
    at_work = Counter(held)
    return [_progress(row, by_id[row.id], at_work[row.id]) for row in wanted if row.id in by_id]


def _progress(generation: models.Generation, build: models.Build, processes: int) -> Progress:
    seconds = (build.updated_at - build.started_at).total_seconds() - build.paused_seconds
    rate = build.rows / seconds if seconds > 0 else 0.0
    expected = max(build.expected_rows, build.rows)
    left = 0.0 if build.filled_at else (expected - build.rows) / rate if rate else None
    return Progress(
        generation.read_model,
        generation.number,
        build.rows,
        expected,
        round(rate, 1),
        None if left is None else round(left, 1),
        build.filled_at is not None,
        processes,
        build.started_at,
    )
