"""Step 3: the outbox, the one list of changes not yet projected. Rows are deleted by name (id and xid), never by a
cursor: the order of ids is not the order of commits, and after a crash ids are handed out again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from readmodels.snapshot import require_epoch

# How many projectors can work side by side; a power of two, since a change's shard is its key's hash masked.
SHARDS = 8
COLUMNS = "id, xid, source, key, columns, before, after, at"


@dataclass(frozen=True)
class Change:
    """An outbox row: this row of this table changed in that transaction.

    `columns` is None for a row that came or went, `key` is None for a table that was truncated.
    """

    id: int
    xid: int
    source: str
    key: str | None
    columns: list[str] | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    at: datetime

    def values(self, column: str) -> set[str]:
        """A routing column's values before and after, as text; NULL is none."""
        records = (record for record in (self.before, self.after) if record)
        return {str(record[column]) for record in records if record.get(column) is not None}


@dataclass(frozen=True)
class Pending:
    """A transaction with changes of one kind not yet acknowledged, as much as progress needs to know of it."""

    xid: int
    source: str
    columns: list[str] | None
    at: datetime


def shards_with_work() -> list[int]:
    """The shards that have changes, the one with the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT s.shard FROM generate_series(0, %s) AS s (shard), LATERAL"
            " (SELECT id FROM readmodels_change c WHERE c.shard = s.shard AND key IS NOT NULL"
            " ORDER BY id LIMIT 1) oldest"
            " ORDER BY oldest.id",
            [SHARDS - 1],
        )
        return [row[0] for row in cursor.fetchall()]


def visible(cursor: CursorWrapper, shards: Sequence[int], limit: int) -> list[Change]:
    """The oldest changes of the shards that the cursor's snapshot shows."""
    cursor.execute(
        f"SELECT {COLUMNS} FROM readmodels_change WHERE shard = ANY(%s) AND key IS NOT NULL ORDER BY id LIMIT %s",
        [list(shards), limit],
    )
    return [_change(row) for row in cursor.fetchall()]


def truncations(cursor: CursorWrapper) -> list[Change]:
    """The truncated tables that the cursor's snapshot shows; they wait for a rebuild, no projector takes them."""
    cursor.execute(f"SELECT {COLUMNS} FROM readmodels_change WHERE key IS NULL ORDER BY id")
    return [_change(row) for row in cursor.fetchall()]


def _change(row: Sequence[Any]) -> Change:
    id, xid, source, key, columns, before, after, at = row  # Django hands jsonb over as text
    return Change(id, xid, source, key, columns, before and json.loads(before), after and json.loads(after), at)


def pending(cursor: CursorWrapper, without: Sequence[Change], limit: int) -> list[Pending] | None:
    """The transactions with changes other than the given ones that the snapshot shows; None: over `limit` changes."""
    cursor.execute(
        "SELECT xid, source, columns, min(at), count(*) FROM"
        " (SELECT xid, source, columns, at FROM readmodels_change WHERE id <> ALL(%s) LIMIT %s) few"
        " GROUP BY xid, source, columns",
        [[change.id for change in without], limit + 1],
    )
    rows = cursor.fetchall()
    if sum(count for *_, count in rows) > limit:
        return None
    return [Pending(*row) for *row, _ in rows]


def horizon(cursor: CursorWrapper) -> tuple[int, datetime]:
    """(lowest transaction id, oldest time) of all pending changes, of which there must be one."""
    cursor.execute("SELECT min(xid), min(at) FROM readmodels_change")
    xid, at = cursor.fetchone()
    return int(xid), at


def acknowledge(changes: Sequence[Change], epoch: int) -> int:
    """The given changes are gone, and only those; returns how many were still there. Raises EpochMoved."""
    if not changes:
        return 0
    names = sorted((change.id, change.xid) for change in changes)
    with transaction.atomic(), connection.cursor() as cursor:
        require_epoch(cursor, epoch)
        cursor.execute(
            "DELETE FROM readmodels_change c USING unnest(%s::bigint[], %s::bigint[]) AS seen (id, xid)"
            " WHERE c.id = seen.id AND c.xid = seen.xid",
            [[id for id, _ in names], [xid for _, xid in names]],
        )
        return int(cursor.rowcount)


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
