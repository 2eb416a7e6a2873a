"""Dead letters: documents that could not be built or stored, parked with their error so that everything else goes on.

Later changes to a parked document try it again by themselves; one that succeeds does away with the dead letter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet

from readmodels import acknowledged, models, outbox, together
from readmodels.errors import Died
from readmodels.snapshot import Snapshot, is_visible
from readmodels.together import Rows, Statement

log = structlog.get_logger()


@dataclass(frozen=True)
class Failure:
    """Why one document of one generation could not be made; `key` is its root row's, `source` the root's table."""

    read_model: str
    generation: int
    source: str
    key: str
    before: str | None  # its routing columns, as JSON
    writers: Sequence[int]
    error: str
    traceback: str
    at: datetime | None = None  # when the change was made; None: there was none, it was met while filling


@dataclass(frozen=True)
class DeadLetter:
    """A parked document, as people look at it."""

    id: int
    read_model: str
    generation: int
    key: str
    error: str
    traceback: str
    attempts: int
    parked_at: datetime


@dataclass(frozen=True)
class Parked:
    """What progress needs to know of a parked document."""

    read_model: str
    key: str
    writers: Sequence[int]


def listed(read_model: str | None = None, limit: int | None = None) -> list[DeadLetter]:
    """The parked documents, the last one first, so many at the most."""
    return [_letter(row) for row in _of(read_model).order_by("-parked_at", "-id")[:limit]]


def found(id: int) -> DeadLetter | None:
    """The dead letter of this id, if there is one (any more)."""
    row = models.DeadLetter.objects.filter(id=id).first()
    return None if row is None else _letter(row)


def of_document(read_model: str, key: str) -> list[DeadLetter]:
    """Those of one document, by its root row's key, in any generation."""
    return [_letter(row) for row in _of(read_model).filter(key=key).order_by("generation")]


def count(read_model: str | None = None) -> int:
    """How many documents are parked."""
    return _of(read_model).count()


def ids(read_model: str | None = None) -> list[int]:
    """The ids of all of them, the oldest first."""
    return list(_of(read_model).order_by("id").values_list("id", flat=True))


def _of(read_model: str | None) -> QuerySet[models.DeadLetter]:
    rows = models.DeadLetter.objects.all()
    return rows if read_model is None else rows.filter(read_model=read_model)


def _letter(row: models.DeadLetter) -> DeadLetter:
    return DeadLetter(**{name: getattr(row, name) for name in DeadLetter.__dataclass_fields__})


def retry(id: int) -> bool:
    """The document is tried again by the bulk lane; False: there is no such dead letter any more."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "WITH gone AS (DELETE FROM readmodels_dead_letter WHERE id = %s RETURNING *)"
            " INSERT INTO readmodels_change (source, key, before, xid, at, shard, writers, read_models)"
            " SELECT source, key, before, pg_current_xact_id()::text::bigint, at,"
            " %s + (hashtext(key) & %s), writers, ARRAY[read_model] FROM gone",
            [id, outbox.SHARDS, outbox.SHARDS - 1],
        )
        return bool(cursor.rowcount)


def discard(id: int) -> bool:
    """The dead letter is gone and its document stays as it is until its next change; False: there is none."""
    deleted, _ = models.DeadLetter.objects.filter(id=id).delete()
    return bool(deleted)


def park(failures: Iterable[Failure], attempts: int, seen_in: Snapshot | None = None) -> None:
    """Each failed document has one dead letter, with the writers of all changes that it stands for.

    Where somebody was erased since the snapshot that the failures were seen in, these quote nothing.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        acknowledged.hold(cursor)  # who begins to erase waits for this, or is seen here
        is_mute = seen_in is not None and _was_erased_since(cursor, seen_in)
        for failure in failures:
            # Where it was before the scrub finds, too.
            failure = replace(failure, before=None) if is_mute else failure
            _insert(failure, attempts)
            if is_mute:
                mute(failure.read_model, [failure.key])
            log.error("parked", read_model=failure.read_model, key=failure.key, error=failure.error, attempts=attempts)


def _insert(failure: Failure, attempts: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO readmodels_dead_letter AS d (read_model, generation, source, key, before, writers, error,"
            " traceback, attempts, at, parked_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, COALESCE(%s, clock_timestamp()), clock_timestamp())"
            " ON CONFLICT (read_model, generation, key) DO UPDATE SET"
            " writers = ARRAY(SELECT DISTINCT unnest(d.writers || EXCLUDED.writers) ORDER BY 1),"
            " before = COALESCE(d.before, EXCLUDED.before), error = EXCLUDED.error, traceback = EXCLUDED.traceback,"
            " attempts = d.attempts + EXCLUDED.attempts, at = least(d.at, EXCLUDED.at), parked_at = EXCLUDED.parked_at",
            [
                failure.read_model,
                failure.generation,
                failure.source,
                failure.key,
                failure.before,
                list(failure.writers),
                failure.error,
                failure.traceback,
                attempts,
                failure.at,
            ],
        )


def begin_erasing() -> None:
    """From here on, what an attempt parks that read before quotes nothing; who is at it now has ended."""
    with transaction.atomic(), connection.cursor() as cursor:
        acknowledged.hold_alone(cursor)
        cursor.execute(
            "UPDATE readmodels_heartbeat SET erased_xid = pg_current_xact_id()::text::bigint, erased_epoch = epoch"
            " FROM readmodels_clock"
        )


def mute(read_model: str, roots: Sequence[str]) -> None:
    """The dead letters of these root rows say no more what went wrong but for its kind: errors quote values."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE readmodels_dead_letter SET traceback = '', error = {MUTED}"
            f" WHERE read_model = %s AND key = ANY(%s) AND (traceback <> '' OR error <> {MUTED})",
            [read_model, list(roots)],
        )


def mute_quoting(patterns: Sequence[str]) -> int:
    """The same for those that quote any of these, of whatever row; returns how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE readmodels_dead_letter SET traceback = '', error = {MUTED}"
            " WHERE traceback ILIKE ANY(%(patterns)s) OR error ILIKE ANY(%(patterns)s)",
            {"patterns": list(patterns)},
        )
        return int(cursor.rowcount)


# The engine goes by the kind of an error.
MUTED = "COALESCE(substring(error FROM '^[A-Za-z_]+: '), '') || 'erased with a person'"


def _was_erased_since(cursor: CursorWrapper, seen_in: Snapshot) -> bool:
    cursor.execute("SELECT erased_epoch, erased_xid FROM readmodels_heartbeat")
    epoch, xid = cursor.fetchone()
    return bool(epoch > seen_in.epoch or (epoch == seen_in.epoch and not is_visible(xid, seen_in.text)))


def asking_parked(limit: int) -> Statement:
    """The statement that asks what is parked, for `parked_in`."""
    return together.kept("SELECT read_model, key, writers FROM readmodels_dead_letter ORDER BY id LIMIT %s", limit + 1)


def parked_in(rows: Rows, limit: int) -> list[Parked] | None:
    """What such a statement found; None: more than the limit."""
    return None if len(rows) > limit else [Parked(*row) for row in rows]


def deadly(cursor: CursorWrapper, read_model: str) -> set[str]:
    """The root keys of what is parked since projectors died at it, in whichever generation.

    Only its next change and a retry, each counted before the work, may build it: whoever else did would die as well.
    """
    [rows] = together.ask(cursor, [asking_deadly(read_model)])
    return {key for [key] in rows}


def asking_deadly(read_model: str) -> Statement:
    """The statement that asks for these, a row each."""
    sql = "SELECT key FROM readmodels_dead_letter WHERE read_model = %s AND starts_with(error, %s)"
    return together.kept(sql, read_model, f"{Died.__name__}:")


def resolve(made: Sequence[tuple[str, int, str]]) -> None:
    """The dead letters of these (read model, generation, root key) are gone: they have been made."""
    if not made:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM readmodels_dead_letter d"
            " USING unnest(%s::text[], %s::int[], %s::text[]) AS m (name, number, key)"
            " WHERE d.read_model = m.name AND d.generation = m.number AND d.key = m.key",
            [[name for name, _, _ in made], [number for _, number, _ in made], [key for _, _, key in made]],
        )
