"""How far the filling of each new generation is: kept in PostgreSQL, for who takes it up and for who looks on."""

import time
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import F
from django.db.models.functions import Now

from readmodels import models
from readmodels.conf import conf
from readmodels.errors import RebuildCancelled
from readmodels.generations import Generation
from readmodels.models import GenerationState
from readmodels.snapshot import Snapshot, is_visible


@dataclass(frozen=True)
class Progress:
    """How far a rebuild is. `expected_rows` is an estimate; `seconds_left` None: it can't be said yet."""

    read_model: str
    generation: int
    rows: int
    expected_rows: int
    rows_per_second: float
    seconds_left: float | None
    is_filled: bool
    started_at: datetime


def resumed(generation: Generation, target: str) -> models.Build:
    """Where the filling goes on. It begins anew where it went to another Redis, or to buckets that were lost since."""
    rows = models.Build.objects.filter(generation_id=generation.id)
    rows.exclude(target=target).update(
        target=target, after=None, rows=0, filled_at=None, started_at=Now(), updated_at=Now()
    )
    return rows.get()


def is_registered_after(generation: Generation, xid: int, now: Snapshot) -> bool:
    """Whether the generation is certainly newer than what this transaction did, so that all of it shows that.

    Only within an epoch: ids are handed out again.
    """
    build = models.Build.objects.filter(generation_id=generation.id, epoch=now.epoch).first()
    return build is not None and is_visible(xid, build.registered)


def advance(generation: Generation, rows: int, last: str | None) -> None:
    """A range is done, up to the last root key (None: all is). Raises RebuildCancelled where nobody wants it any more.

    Takes as long as REBUILD_ROWS_PER_SECOND asks for.
    """
    require_wanted(generation)
    done = {"rows": F("rows") + rows, "updated_at": Now()}
    models.Build.objects.filter(generation_id=generation.id).update(
        **done, **({"filled_at": Now()} if last is None else {"after": last})
    )
    time.sleep(rows / conf().rebuild_rows_per_second)


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
    return [_progress(row, by_id[row.id]) for row in wanted if row.id in by_id]


def _progress(generation: models.Generation, build: models.Build) -> Progress:
    seconds = (build.updated_at - build.started_at).total_seconds()
    rate = build.rows / seconds if seconds > 0 else 0.0
    expected = max(build.expected_rows, build.rows)
    left = 0.0 if build.filled_at else (expected - build.rows) / rate if rate else None
    return Progress(
        generation.read_model,
        generation.number,
        build.rows,
        expected,
        rate,
        left,
        build.filled_at is not None,
        build.started_at,
    )
