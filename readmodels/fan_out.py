"""Fan-out: one change that touches many documents. It is split off to the bulk lane, where it becomes one change per
document, so that nobody else's change waits behind it; a second fan-out to the same documents coalesces with the first.

A fan-out comes after the documents of the one before it, since a shard's changes are taken in the order of their ids.
So those that come during a pass over the documents don't begin it anew, over and over: they wait for its end (a token
of theirs waits with them: a fan-out is pending like any change), and one pass more does for all of them together.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from readmodels import building, generations, outbox
from readmodels.generations import Generation
from readmodels.outbox import Change
from readmodels.snapshot import require_epoch

log = structlog.get_logger()

# Documents per statement: 100,000 in one did not end within STATEMENT_SECONDS on a busy machine, and never would have.
CHUNK = 5_000

# The children of a fan-out. Coalescing replaces a pending change (it goes, a new id comes, with all writers that it
# stands for), it never updates or skips one: a projector may be at work on what that one stood for.
CHILDREN_SQL = f"""
    WITH touched AS (SELECT unnest(%s::text[]) AS key),
         doomed AS (SELECT c.id FROM readmodels_change c JOIN touched t USING (key)
                    WHERE c.source = %s AND c.shard >= {outbox.SHARDS} AND NOT c.is_fan_out
                    ORDER BY c.key, c.id FOR UPDATE OF c),
         old AS (DELETE FROM readmodels_change c USING doomed d WHERE c.id = d.id
                 RETURNING c.key, c.writers, c.read_models, c.at),
         coalesced AS (SELECT old.key, array_agg(DISTINCT w) AS writers, array_agg(DISTINCT m) AS read_models,
                              min(old.at) AS at
                       FROM old, unnest(old.writers) w, unnest(old.read_models) m GROUP BY old.key)
    INSERT INTO readmodels_change (source, key, xid, at, trace, shard, writers, read_models)
    SELECT %s, t.key, pg_current_xact_id()::text::bigint, least(%s, o.at), %s,
           {outbox.SHARDS} + (hashtext(t.key) & {outbox.SHARDS - 1}),
           ARRAY(SELECT DISTINCT unnest(%s::bigint[] || o.writers) ORDER BY 1),
           ARRAY(SELECT DISTINCT unnest(%s::text[] || o.read_models) ORDER BY 1)
    FROM touched t LEFT JOIN coalesced o USING (key) ORDER BY t.key"""


@dataclass(frozen=True)
class Chosen:
    """The changes of one batch, and by change id the read models in which it reaches too many documents for one."""

    changes: list[Change]
    wide: dict[int, set[str]] = field(default_factory=dict)


def choose(
    cursor: CursorWrapper, current: Sequence[Generation], changes: Sequence[Change], most_documents: int
) -> Chosen:
    """The changes whose fan-out makes a batch; those that are too wide for one, being alike, stand by themselves.

    Changes that are alike reach the same documents, so they are taken or left together: one build does for all. Were
    the first so many taken instead, a longer backlog would make smaller batches, which build the same documents over
    and over, and never catch up.
    """
    alike: dict[str, list[Change]] = defaultdict(list)
    for kind in outbox.by_kind(changes):
        may_reach = _may_reach(current, kind[0])
        for change in kind:
            # Those that reach no other table's documents are all alike.
            alike[_reach(change) if may_reach else ""].append(change)
    chosen = list(alike.values())
    while wide := _too_wide(cursor, current, [group[0] for group in chosen], most_documents):
        if len(chosen) == 1:
            return Chosen(chosen[0], {change.id: wide for change in chosen[0]})
        chosen = chosen[: len(chosen) // 2]
    return Chosen([change for group in chosen for change in group])


def expand(changes: Sequence[Change], epoch: int) -> None:
    """Each fan-out is replaced by one change per document that it reaches now; who was second does nothing.

    What it reaches is read in the replacing transaction: a row that comes later comes with a change of its own.
    """
    for (source, key), group in groupby(sorted(changes, key=_row), key=_row):
        with transaction.atomic(), connection.cursor() as cursor:
            require_epoch(cursor, epoch)
            parents = outbox.take(cursor, list(group))
            if parents:
                documents = _insert_children(cursor, parents)
                log.info("fanned_out", source=source, key=key, fan_outs=len(parents), documents=documents)


def _may_reach(current: Sequence[Generation], change: Change) -> bool:
    """Whether any documents may be reached by way of other tables; changes of a kind answer alike."""
    return change.is_fan_out or any(building.has_ways(generation.plan, change) for generation in current)


def _reach(change: Change) -> str:
    """What tells which documents the change reaches."""
    where = (change.source, change.key, change.columns, change.before, change.after)
    return json.dumps([*where, change.read_models, change.is_fan_out, change.generation_id], sort_keys=True)


def _too_wide(
    cursor: CursorWrapper, current: Sequence[Generation], changes: Sequence[Change], most_documents: int
) -> set[str]:
    """The read models of which the changes reach more documents by way of other tables than a batch takes."""

    def is_wide(generation: Generation) -> bool:
        relevant = [change for change in changes if change.is_for(generation.id)]
        return len(building.reached(cursor, generation.plan, relevant, most_documents + 1)) > most_documents

    return {generation.plan.name for generation in current if is_wide(generation)}


def _insert_children(cursor: CursorWrapper, parents: Sequence[Change]) -> int:
    writers = sorted({writer for parent in parents for writer in parent.writers})
    at = min(parent.at for parent in parents)
    trace = max(parents, key=lambda parent: parent.at).trace  # as `why` tells it: of the last change
    names: dict[str, set[str]] = defaultdict(set)
    ways: dict[str, list[tuple[str, list[str]]]] = defaultdict(list)
    for generation in generations.current(cursor):
        for way in building.ways(generation.plan, [parent for parent in parents if _is_left_for(parent, generation)]):
            names[generation.plan.root_table].add(generation.plan.name)
            ways[generation.plan.root_table].append(way)
    count = 0
    for table, found in ways.items():
        for keys in _touched(found):
            cursor.execute(CHILDREN_SQL, [keys, table, table, at, trace, writers, sorted(names[table])])
            count += cursor.rowcount
    return count


def _touched(ways: Sequence[tuple[str, list[str]]]) -> Iterator[list[str]]:
    """The root keys that the ways lead to, as one snapshot shows them, a bounded number at a time.

    In order, so that two fan-outs with common documents wait for one another and not both.
    """
    union = " UNION ALL ".join(sql for sql, _ in ways)
    with connection.chunked_cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT key FROM ({union}) AS t (key) ORDER BY key", [anchors for _, anchors in ways])
        while rows := cursor.fetchmany(CHUNK):
            yield [key for [key] in rows]


def _is_left_for(parent: Change, generation: Generation) -> bool:
    return generation.plan.name in (parent.read_models or ())


def _row(change: Change) -> tuple[str, str]:
    return change.source, change.key or ""
