"""Step 3: the outbox, the one list of changes not yet projected. Rows are deleted by name (id and xid), never by a
cursor: the order of ids is not the order of commits, and after a crash ids are handed out again.
"""

import json
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from readmodels import acknowledged, newer_code, together
from readmodels.snapshot import ASKING_CLOCK, Snapshot, clock_in, require_same_of
from readmodels.together import Rows, Statement

# How many projectors can work side by side in a lane; a power of two, since a shard is the key's hash masked.
SHARDS = 8
# Names come as one text and the time as a number: to read an array or a timestamp psycopg takes up to 3 us.
BETWEEN_NAMES = "\x1f"
COLUMNS = (
    "id, xid, source, key, array_to_string(columns, chr(31)), writers, array_to_string(read_models, chr(31)),"
    " is_fan_out, attempts, generation_id, before, after, date_part('epoch', at), trace"
)


class Lane(Enum):
    """Which workers take a change: those for what somebody waits for, those for large fan-outs, those of newer code."""

    LIVE = range(SHARDS)
    BULK = range(SHARDS, 2 * SHARDS)
    NEWER = range(-SHARDS, 0)

    @classmethod
    def of(cls, shard: int) -> "Lane":
        """The lane that the shard belongs to."""
        return next(lane for lane in cls if shard in lane.value)


Kind = tuple[str, tuple[str, ...] | None, tuple[str, ...] | None, bool, int | None]


class Change(NamedTuple):
    """An outbox row: this row of this table changed in that transaction.

    `columns` is None for a row that came or went, `key` is None for a table that was truncated. With `read_models` it
    is left for these only: as a fan-out to be worked out, or else as one root row to be built. With `generation_id` it
    is left for that one alone. `before` and `after` are the row's routing columns, as JSON: few changes are asked for
    them.
    """

    id: int
    xid: int
    source: str
    key: str | None
    columns: tuple[str, ...] | None
    writers: Sequence[int]
    read_models: tuple[str, ...] | None
    is_fan_out: bool
    attempts: int
    generation_id: int | None
    before: str | None
    after: str | None
    seconds: float  # when it was made, since 1970
    trace: str | None = None

    @property
    def at(self) -> datetime:
        """When it was made."""
        return datetime.fromtimestamp(self.seconds, UTC)

    @property
    def kind(self) -> Kind:
        """What decides which dependencies the change concerns: those that have it in common are judged by one."""
        return self.source, self.columns, self.read_models, self.is_fan_out, self.generation_id

    def is_for(self, generation_id: int) -> bool:
        """Whether it is to be projected into this generation."""
        return self.generation_id in (None, generation_id)

    def values(self, column: str) -> set[str]:
        """A routing column's values before and after, as text; NULL is none."""
        records = [json.loads(record) for record in {self.before, self.after} if record]
        return {str(record[column]) for record in records if record.get(column) is not None}


@dataclass(frozen=True)
class Pending:
    """A transaction with changes of one kind not yet acknowledged, as much as progress needs to know of it."""

    xid: int
    source: str
    columns: list[str] | None
    read_models: list[str] | None
    at: datetime


def has_work(lane: Lane) -> bool:
    """Whether the lane has changes that are due."""
    with connection.cursor() as cursor:
        [rows] = together.ask(cursor, [asking_with_work(lane)])
    return bool(rows)


def asking_with_work(lane: Lane) -> Statement:
    """The statement that asks for the lane's shards that have changes which are due, and for the oldest of each."""
    return together.kept(with_work(lane))


def with_work(lane: Lane) -> str:
    """The SQL of it: (shard, oldest)."""
    numbers = ", ".join(f"({shard})" for shard in lane.value)  # as parameters they would be planned for each time
    # Of `shard = ` PostgreSQL expects few rows, and sorts them all; of a comparison of rows it expects many.
    return (
        f"SELECT s.shard, first.id AS oldest FROM (VALUES {numbers}) AS s (shard), LATERAL"
        " (SELECT id FROM readmodels_change c WHERE (c.shard, c.id) >= (s.shard, 0) AND c.shard <= s.shard"
        f" AND {IS_DUE} ORDER BY c.shard, c.id LIMIT 1) first"
    )


def visible(cursor: CursorWrapper, shards: Sequence[int], limit: int, holder: str | None = None) -> list[Change]:
    """The oldest changes of the shards, of those that the holder has, that the snapshot shows and that are due."""
    [rows] = together.ask(cursor, [asking_visible(shards, limit, holder)])
    return changes_in(rows)


def asking_visible(shards: Sequence[int], limit: int, holder: str | None = None) -> Statement:
    """The statement that asks for these, for `changes_in`.

    Of a long outbox it reads what it gives and no more: each shard's changes lie in order in an index, and are merged.
    A limit that comes of a SELECT PostgreSQL can't know as it plans. With a known one, greater than the few rows that
    it expects (there are no statistics, migration 0012), it would sort all that waits.
    """
    most = "(SELECT most FROM given)"
    merged = " UNION ALL ".join(
        f"(SELECT {COLUMNS} FROM readmodels_change WHERE shard = {shard} AND {IS_DUE} AND {_is_held(shard, holder)}"
        f" ORDER BY id LIMIT {most})"
        for shard in shards
    )
    return together.kept(
        "WITH given AS MATERIALIZED (SELECT %s::int AS most, %s::text AS holder)"
        f" SELECT * FROM ({merged}) AS oldest ORDER BY id LIMIT {most}",
        limit,
        holder,
    )


def _is_held(shard: int, holder: str | None) -> str:
    """Asked once, not for each row, since the shard is written out."""
    if holder is None:
        return "true"
    return f"EXISTS (SELECT FROM readmodels_shard WHERE number = {shard} AND holder = (SELECT holder FROM given))"


def named(cursor: CursorWrapper, ids: Sequence[int]) -> list[Change]:
    """The changes of these ids that the snapshot shows."""
    [rows] = together.ask(cursor, [asking_named(ids)])
    return changes_in(rows)


def asking_named(ids: Sequence[int]) -> Statement:
    """The statement that asks for these, for `changes_in`."""
    return together.kept(f"SELECT {COLUMNS} FROM readmodels_change WHERE id = ANY(%s) ORDER BY id", list(ids))


def changes_in(rows: Rows) -> list[Change]:
    """The changes that such a statement found."""
    return [_change(row) for row in rows]


def due(shards: Sequence[int], limit: int, holder: str | None = None) -> list[int]:
    """The ids of the changes that a batch of the shards, of those that the holder has, would take now.

    One that has failed before stands alone, so that nothing else goes down with it again.
    """
    with connection.cursor() as cursor:
        found = visible(cursor, shards, limit, holder)
    return [change.id for change in found if not change.attempts] or [change.id for change in found[:1]]


# Truncations wait for a rebuild; what failed waits for its time; what is left for newer code waits for that.
IS_DUE = f"key IS NOT NULL AND (not_before IS NULL OR not_before <= clock_timestamp()) AND {newer_code.IS_OURS}"


def truncations(cursor: CursorWrapper) -> list[Change]:
    """The truncated tables that the cursor's snapshot shows; they wait for a rebuild, no projector takes them."""
    [rows] = together.ask(cursor, [ASKING_TRUNCATIONS])
    return changes_in(rows)


ASKING_TRUNCATIONS = together.kept(f"SELECT {COLUMNS} FROM readmodels_change WHERE key IS NULL ORDER BY id")


def _change(row: tuple[Any, ...]) -> Change:
    # Written out: the shorter way to say it takes half as long again, for each change.
    id, xid, source, key, columns, writers, read_models, is_fan_out, attempts, of, before, after, seconds, trace = row
    return Change(
        id,
        xid,
        source,
        key,
        None if columns is None else _names(columns),
        writers or [xid],
        None if read_models is None else _names(read_models),
        is_fan_out,
        attempts,
        of,
        before,
        after,
        seconds,
        trace,
    )


# What one statement changed has its columns in common.
@lru_cache(maxsize=1_000)
def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(BETWEEN_NAMES)) if text else ()


def by_kind(changes: Iterable[Change]) -> list[list[Change]]:
    """The changes, those of a kind together."""
    found: dict[Kind, list[Change]] = {}
    for change in changes:
        found.setdefault(change.kind, []).append(change)
    return list(found.values())


def asking_pending(without: Sequence[Change], limit: int) -> list[Statement]:
    """The statements that ask which transactions have changes other than the given ones, for `pending_in`.

    Changes of the live lane are read, `limit` at the most; of the bulk lane, which may hold many for each transaction,
    the groups are read off an index. What is left for newer code is pending for its generation's read model.
    """
    return [
        together.kept(LIVE_GROUPS, SHARDS - 1, [change.id for change in without], limit + 1),
        together.kept(BULK_GROUPS, limit + 1),
        together.kept(newer_code.GROUPS, limit + 1),
    ]


def pending_in(found: Sequence[Rows], limit: int) -> list[Pending] | None:
    """The transactions that such statements found; None: more than can be named."""
    live, bulk, newer = found
    others = [(xid, "", None, models, at) for writers, models, at in [*bulk, *newer] for xid in writers]
    if sum(count for *_, count in live) > limit or len(others) > limit:
        return None
    return [*(Pending(*row) for *row, _ in live), *(Pending(*row) for row in others)]


LIVE_GROUPS = """
    SELECT xid, source, columns, read_models, min(at), count(*) FROM
    (SELECT * FROM readmodels_change WHERE shard BETWEEN 0 AND %s AND id <> ALL(%s) LIMIT %s) few
    GROUP BY xid, source, columns, read_models"""

# A loose scan of readmodels_change_bulk_group: from each group straight to the next.
BULK_GROUPS = f"""
    WITH RECURSIVE found AS (
        (SELECT writers, read_models, at FROM readmodels_change WHERE shard >= {SHARDS}
         ORDER BY writers, read_models, at LIMIT 1)
        UNION ALL
        SELECT following.* FROM found, LATERAL (
            SELECT writers, read_models, at FROM readmodels_change c
            WHERE shard >= {SHARDS} AND (c.writers, c.read_models) > (found.writers, found.read_models)
            ORDER BY c.writers, c.read_models, c.at LIMIT 1) following
    )
    SELECT * FROM found LIMIT %s"""


def horizon(cursor: CursorWrapper) -> tuple[int, datetime | None]:
    """(lowest transaction id, oldest time) of all that is pending or parked, of which there must be something.

    What is parked has no time: only what is still to be done makes a lag.
    """
    cursor.execute(
        "SELECT min(xid), min(at) FROM (SELECT least(xid, writers[1]) AS xid, at FROM readmodels_change"
        " UNION ALL SELECT writers[1], NULL FROM readmodels_dead_letter) unfinished"
    )
    xid, at = cursor.fetchone()
    return int(xid), at


def is_pending_of(cursor: CursorWrapper, writers: Sequence[int]) -> bool:
    """Whether any change of these transactions, or one that stands for them, is still to be projected."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM readmodels_change WHERE xid = ANY(%s) OR writers && %s::bigint[])",
        [list(writers), list(writers)],
    )
    return bool(cursor.fetchone()[0])


def acknowledge(changes: Sequence[Change], seen_in: Snapshot, left: Mapping[int, Set[str]] | None = None) -> int:
    """The given changes are gone, and only those; returns how many were still there. Raises EpochMoved, StoreMoved.

    What is gone is kept for a while, with the transaction that did it, for a Redis that goes back. `left` names changes
    by id that were done but for these read models: each goes on in the bulk lane, in the same transaction, as a fan-out
    with a new id and its writers.
    """
    if not changes:
        return 0
    wide = json.dumps({id: sorted(read_models) for id, read_models in (left or {}).items()})
    # Where a transaction is under way an error ends all of it, as it does here; a savepoint would be two trips.
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        # The clock last: to have kept a row excludes whoever changes the trust in a Redis (heartbeat.py) until this has
        # ended.
        names = together.kept(ACKNOWLEDGE, *_identities(changes), seen_in.epoch, wide, wide)
        [[count]], clock = together.ask(cursor, [names, ASKING_CLOCK])
        require_same_of(clock_in(clock), seen_in)
    return int(count)


def take(cursor: CursorWrapper, changes: Sequence[Change]) -> list[Change]:
    """The given changes are gone; returns those that were still there."""
    cursor.execute(f"DELETE FROM readmodels_change c {SEEN} RETURNING c.id", _identities(changes))
    taken = {id for [id] in cursor.fetchall()}
    return [change for change in changes if change.id in taken]


# A row is named by id and by the transaction that wrote it: after a crash ids are handed out again. Arrays of both do
# for pairs: who acknowledges in the epoch that it read in meets no id that went on to another of these transactions.
SEEN = "WHERE c.id = ANY(%s::bigint[]) AND c.xid = ANY(%s::bigint[])"


# The parent goes first: who gets no row back does nothing. Truncations are not kept: they asked for new generations.
ACKNOWLEDGE = f"""
    WITH gone AS (DELETE FROM readmodels_change c {SEEN} RETURNING c.*),
         kept AS (INSERT INTO readmodels_acknowledged
                  SELECT {acknowledged.SLOT}, source, key, columns, before, after, xid, at,
                         CASE WHEN shard < 0 THEN shard + {SHARDS} ELSE shard END, writers, read_models,
                         %s, pg_current_xact_id()::text::bigint, trace
                  FROM gone WHERE key IS NOT NULL),
         for_newer AS ({newer_code.LEAVE}),
         moved AS (INSERT INTO readmodels_change
                   (source, key, columns, before, after, xid, at, trace, shard, writers, read_models, is_fan_out)
                   SELECT source, key, columns, before, after, pg_current_xact_id()::text::bigint, at, trace,
                          {SHARDS} + (shard & {SHARDS - 1}), COALESCE(writers, ARRAY[xid]),
                          ARRAY(SELECT jsonb_array_elements_text(l.wide -> id::text)), true
                   FROM gone, (SELECT %s::jsonb AS wide) l WHERE %s <> '{{}}' AND l.wide ? id::text)
    SELECT count(*) FROM gone"""


def _identities(changes: Sequence[Change]) -> list[str]:
    """Ids and xids, as arrays written out: psycopg takes 1 us for each number of a list."""
    arrays = sorted(change.id for change in changes), sorted({change.xid for change in changes})
    return [f"{{{','.join(map(str, array))}}}" for array in arrays]


def backlog_rows() -> int:
    """How many changes are not yet projected."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM readmodels_change")
        return int(cursor.fetchone()[0])


def lag_seconds() -> float:
    """The age of the oldest change not yet projected; 0 where there is none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(extract(epoch FROM clock_timestamp() - min(at)), 0) FROM readmodels_change")
        return float(cursor.fetchone()[0])
