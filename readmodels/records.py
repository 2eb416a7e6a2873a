"""Erasure, step 2: the engine's own records of a row say no more what it was: changes that are pending or kept, dead
letters, and where the scrub is.

A change keeps nothing of a row but the columns by which documents are found; where one of them says who somebody was
(a read model that is keyed, partitioned or joined by it), it is made NULL once all that it leads to has been settled.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

from readmodels import deadletters, heartbeat
from readmodels.snapshot import Snapshot

# What a changed row was before, and after.
Record = tuple[dict[str, Any] | None, dict[str, Any] | None]


@dataclass(frozen=True)
class Row:
    """A row that says no more who it was; `before` is what its columns held, kept in memory only."""

    source: str
    pk: str
    key: str
    before: dict[str, Any]


def note(model: type[Model], key: Any) -> Row:
    """The row as it is now; called in the transaction that makes it anonymous, before it does."""
    source, pk = model._meta.db_table, str(model._meta.pk.column)
    with connection.cursor() as cursor:
        found = _columns(cursor, source, pk, str(key))
    return Row(source, pk, str(key), found)


def of_row(cursor: CursorWrapper, row: Row) -> list[Record]:
    """(before, after) of the row's erasure, and of each change of it that is pending or parked."""
    now = {**{row.pk: row.before.get(row.pk)}, **_columns(cursor, row.source, row.pk, row.key)}
    cursor.execute(
        "SELECT before, after FROM readmodels_change WHERE source = %(source)s AND key = %(key)s"
        " UNION ALL SELECT before, NULL FROM readmodels_dead_letter WHERE source = %(source)s AND key = %(key)s",
        {"source": row.source, "key": row.key},
    )
    known = [(before and json.loads(before), after and json.loads(after)) for before, after in cursor.fetchall()]
    return [(row.before, now), *known]


def forget(row: Row, since: Snapshot) -> dict[str, int]:
    """What the snapshot shows of changes of the row holds nothing that the row does not hold; returns how many rows
    were changed, by table.

    A Redis that goes back to before is then not made up for from these changes, but filled anew. Raises EpochMoved or
    StoreMoved where all was settled in another Redis than the one that is trusted now.
    """
    changed: dict[str, int] = {}
    with transaction.atomic(), connection.cursor() as cursor:
        heartbeat.note_filled(cursor, since)
        now = {**{row.pk: row.before.get(row.pk)}, **_columns(cursor, row.source, row.pk, row.key)}
        given = {"source": row.source, "key": row.key, "now": json.dumps(now, default=str), "since": since.text}
        for table, statement in FORGET.items():
            cursor.execute(statement, given)
            changed[table] = cursor.rowcount
    return changed


def forget_quoted(patterns: Sequence[str]) -> dict[str, int]:
    """Dead letters and rounds of the scrub, of whatever documents, quote nothing like these; how many did, by table."""
    letters = deadletters.mute_quoting(patterns)
    with connection.cursor() as cursor:
        # The round begins anew.
        cursor.execute(
            "UPDATE readmodels_scrub SET position = NULL, suspects = '[]'"
            " WHERE position::text ILIKE ANY(%(patterns)s) OR suspects::text ILIKE ANY(%(patterns)s)",
            {"patterns": list(patterns)},
        )
        return {"readmodels_dead_letter": letters, "readmodels_scrub": cursor.rowcount}


def _columns(cursor: CursorWrapper, source: str, pk: str, key: str) -> dict[str, Any]:
    """Every column of the row as JSON has it; empty where the row is gone."""
    quote = connection.ops.quote_name
    cursor.execute(f"SELECT to_jsonb(t)::text FROM {quote(source)} t WHERE t.{quote(pk)} = %s", [key])
    found = cursor.fetchone()
    return dict(json.loads(found[0])) if found else {}


# What a record says that the row does not say any more is NULL.
NULLED = """(SELECT jsonb_object_agg(e.k, CASE WHEN %(now)s::jsonb -> e.k IS NOT DISTINCT FROM e.v THEN e.v
    ELSE 'null' END) FROM jsonb_each({}) AS e (k, v))"""
BEFORE, AFTER = NULLED.format("t.before"), NULLED.format("t.after")
IS_SHOWN = """NOT EXISTS (SELECT FROM unnest(COALESCE(t.writers, ARRAY[{}])) w
    WHERE NOT pg_visible_in_snapshot(w::text::xid8, %(since)s::pg_snapshot))"""
OF_ROW = "t.source = %(source)s AND t.key = %(key)s"
FORGET = {
    # What is left for newer code is needed by it, to find what it has to remove.
    "readmodels_change": f"UPDATE readmodels_change t SET before = {BEFORE}, after = {AFTER} WHERE {OF_ROW}"
    f" AND t.generation_id IS NULL AND {IS_SHOWN.format('t.xid')}"
    f" AND (t.before IS DISTINCT FROM {BEFORE} OR t.after IS DISTINCT FROM {AFTER})",
    "readmodels_acknowledged": f"UPDATE readmodels_acknowledged t SET before = {BEFORE}, after = {AFTER} WHERE {OF_ROW}"
    f" AND {IS_SHOWN.format('t.xid')} AND (t.before IS DISTINCT FROM {BEFORE} OR t.after IS DISTINCT FROM {AFTER})",
    "readmodels_dead_letter": f"UPDATE readmodels_dead_letter t SET before = {BEFORE} WHERE {OF_ROW}"
    f" AND {IS_SHOWN.format('NULL::bigint')} AND t.before IS DISTINCT FROM {BEFORE}",
}
