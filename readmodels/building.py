"""Step 5b: from changes to what they touch, and from that to finished documents, all in one snapshot.

The touched set is worked out here and not in the writer's trigger: only a snapshot shows which documents a change
reaches (an order inserted by a concurrent transaction would stay stale for ever).
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from django.db import connection
from django.db.backends.utils import CursorWrapper

from readmodels import faults, together
from readmodels.generations import Generation
from readmodels.outbox import Change, by_kind
from readmodels.plan import Dependency, Plan
from readmodels.positions import SEPARATOR, row_key
from readmodels.together import Rows, Statement
from readmodels.values import DocumentWrite, RowWrite

Write = DocumentWrite | RowWrite
FEW = 4  # keys, of which each has a parameter of its own: with one array for all PostgreSQL would plan each time
KEYS, FEW_KEYS = "%s::text[]", f"ARRAY[{', '.join(['%s'] * FEW)}]"
CHUNK = 1000  # keys per statement


def writes_for(
    cursor: CursorWrapper,
    generation: Generation,
    changes: Sequence[Change],
    wide: Mapping[int, Set[str]] = MappingProxyType({}),
) -> list[Write]:
    """What the changes make of one generation's documents or rows, as the cursor's snapshot shows it.

    A change that is `wide` in the read model makes here only what its own row does; the bulk lane does the rest.
    """
    [writes], _ = writes_for_each(cursor, [generation], changes, wide)
    return writes


def writes_for_each(
    cursor: CursorWrapper,
    generations: Sequence[Generation],
    changes: Sequence[Change],
    wide: Mapping[int, Set[str]] = MappingProxyType({}),
    beside: Sequence[Statement] = (),
) -> tuple[list[list[Write]], list[Rows]]:
    """(the same for several generations, the rows of the statements beside) in one trip but for what is rare."""
    kinds = by_kind(changes)
    every = [_touched(cursor, generation, kinds, wide) for generation in generations]
    builds = [statement for touched in every for statement in touched.statements]
    found = iter(together.ask(cursor, [*builds, *beside]))
    return [_writes(cursor, touched, found) for touched in every], list(found)


@dataclass(frozen=True)
class Touched:
    """Documents by their keys, or rows by their root rows', that changes touch in a generation.

    And the statements that ask for what is there now, then those that ask where rows were that may have moved.
    """

    generation: Generation
    keys: set[str]
    builds: Sequence[Statement] = ()
    before: Sequence[Statement] = ()

    @property
    def statements(self) -> list[Statement]:
        """All of them."""
        return [*self.builds, *self.before]


def _touched(
    cursor: CursorWrapper, generation: Generation, every: Sequence[Sequence[Change]], wide: Mapping[int, Set[str]]
) -> Touched:
    """What changes touch in the generation, given every kind of them."""
    plan = generation.plan
    kinds = [kind for kind in every if kind[0].is_for(generation.id)]
    own = [change for kind in kinds if _is_child(kind[0], plan) for change in kind]
    roots = {change.key for change in own if change.key}
    for dependency in plan.dependencies:
        relevant = [change for kind in kinds if concerns(kind[0], dependency) for change in kind]
        if dependency.touched_sql is not None:
            relevant = [change for change in relevant if plan.name not in wide.get(change.id, ())]
        if _is_root(plan, dependency):
            roots |= {change.key for change in relevant if change.key}
            own += relevant
        elif relevant:
            roots |= _roots(cursor, dependency, relevant)
    keys, before = roots, []
    if plan.kind == "document":
        keys = _document_keys(cursor, plan, roots, own)
    else:
        before = _asking_before(plan, [change for change in own if _may_have_moved(plan, change)])
    return Touched(generation, keys, _asking_builds(generation, keys), before)


def _writes(cursor: CursorWrapper, touched: Touched, found: Iterator[Rows]) -> list[Write]:
    """What the touched are, found by its statements in their order; body None for what is not there (any more)."""
    generation, plan = touched.generation, touched.generation.plan
    built = _made(generation, [row for _ in touched.builds for row in next(found)])
    before = {(row_id, partition) for _ in touched.before for row_id, partition in next(found)}
    if plan.kind == "document":
        gone = touched.keys - {write.key for write in built if isinstance(write, DocumentWrite)}
        return [*built, *(_document(generation, key, None) for key in sorted(gone))]
    # Where each root row has a row here, that is where it is: only those without one may have to be taken off.
    left = touched.keys if len(built) < len(touched.keys) else ()
    places = before | {(row_id, partition) for row_id, partition in _in_chunks(cursor, plan.placed_sql, left)}
    places -= {(row.row_id, row.partition) for row in built if isinstance(row, RowWrite)}
    return [
        *built,
        *(RowWrite(plan.name, generation.number, partition, row_id) for row_id, partition in sorted(places)),
    ]


def places(cursor: CursorWrapper, generation: Generation, roots: set[str], own: Sequence[Change]) -> list[Write]:
    """Where these root rows' documents or rows are, or may have been before these changes of theirs; each as a write
    that says that nothing is there.
    """
    plan = generation.plan
    if plan.kind == "document":
        keys = _document_keys(cursor, plan, roots, own)
        return [_document(generation, key, None) for key in sorted(keys)]
    found = {(row_id, partition) for row_id, partition in _places(cursor, plan, roots, own)}
    return [RowWrite(plan.name, generation.number, partition, row_id) for row_id, partition in sorted(found)]


def own_roots(plan: Plan, change: Change) -> set[str]:
    """The root keys that the change names itself, without a look at other tables."""
    if change.key and _is_child(change, plan):
        return {change.key}
    direct = [dependency for dependency in plan.dependencies if dependency.touched_sql is None]
    return {root for dependency in direct if concerns(change, dependency) for root in _anchors(dependency, [change])}


def is_concerned(plan: Plan, change: Change) -> bool:
    """Whether the change may alter any document of the plan."""
    return _is_child(change, plan) or any(concerns(change, dependency) for dependency in plan.dependencies)


def made(generations: Sequence[Generation], writes: Sequence[Sequence[Write]]) -> list[tuple[str, int, str]]:
    """(read model, generation, root key) of each generation's writes."""
    pairs = zip(generations, writes, strict=True)
    return [(each.plan.name, each.number, key) for each, of in pairs for key in _roots_of(each.plan, of)]


def _roots_of(plan: Plan, writes: Sequence[Write]) -> set[str]:
    """The root keys of documents or rows, where they can be told from them."""
    if plan.kind == "collection":
        rows = (write for write in writes if isinstance(write, RowWrite))
        return {row_key(row.row_id, is_integer=plan.is_integer_pk) for row in rows}
    return {write.key for write in writes if isinstance(write, DocumentWrite) and plan.key_column == plan.root_pk}


def reached(cursor: CursorWrapper, plan: Plan, changes: Sequence[Change], most: int) -> set[str]:
    """The root keys, `most` by each way at the most, that the changes reach by way of other tables."""
    found: set[str] = set()
    for sql, anchors in ways(plan, [change for change in changes if change.read_models is None]):
        cursor.execute(f"{sql} LIMIT %s", [anchors, most])
        found |= {root for [root] in cursor.fetchall()}
    return found


def ways(plan: Plan, changes: Sequence[Change]) -> Iterator[tuple[str, list[str]]]:
    """(statement that gives root keys, its anchors) of each way by which the changes reach other tables' documents."""
    for dependency in plan.dependencies:
        relevant = [change for change in changes if _alters(change, dependency)]
        if dependency.touched_sql is not None and relevant:
            yield dependency.touched_sql, sorted(_anchors(dependency, relevant))


def has_ways(plan: Plan, change: Change) -> bool:
    """Whether there is such a way for the change."""
    return any(each.touched_sql is not None and concerns(change, each) for each in plan.dependencies)


def concerns(change: Change, dependency: Dependency) -> bool:
    """Whether the change, one that a writer made and no fan-out left, may alter a document by this dependency."""
    return change.read_models is None and _alters(change, dependency)


def _alters(change: Change, dependency: Dependency) -> bool:
    if change.source != dependency.table:
        return False
    if change.columns is None:
        return not dependency.updates_only
    return not set(dependency.columns).isdisjoint(change.columns)


def _is_child(change: Change, plan: Plan) -> bool:
    """Whether the change is one document's of a fan-out in this read model."""
    return (
        change.read_models is not None
        and not change.is_fan_out
        and plan.name in change.read_models
        and change.source == plan.root_table
    )


def roots_between(cursor: CursorWrapper, plan: Plan, after: str | None, upto: str | None, limit: int) -> list[str]:
    """The first root keys after one (None: from the first) up to another (None: to the last), in order."""
    [rows] = together.ask(cursor, [asking_roots(plan, after, upto, limit)])
    return [root for [root] in rows]


def asking_roots(plan: Plan, after: str | None, upto: str | None, limit: int) -> Statement:
    """The statement that asks for these, a row each."""
    return _asking_in_order(plan, [(">", after), ("<=", upto)], "LIMIT %s", [limit])


def root_after(cursor: CursorWrapper, plan: Plan, after: str | None, rows: int) -> str | None:
    """The root key that so many rows lead up to; None: there are no more than these."""
    [found] = together.ask(cursor, [_asking_in_order(plan, [(">", after)], "OFFSET %s LIMIT 1", [rows - 1])])
    return found[0][0] if found else None


def _asking_in_order(
    plan: Plan, bounds: Sequence[tuple[str, str | None]], which: str, parameters: Sequence[int]
) -> Statement:
    table, key = connection.ops.quote_name(plan.root_table), connection.ops.quote_name(plan.root_pk)
    given = [(operator, value) for operator, value in bounds if value is not None]
    # Parameters of no type of their own: the column's type and order hold. A bare name in ORDER BY would be that of the
    # column selected, which is text.
    where = " AND ".join(["TRUE", *(f"t.{key} {operator} %s" for operator, _ in given)])
    return Statement(
        f"SELECT t.{key}::text FROM {table} t WHERE {where} ORDER BY t.{key} {which}",
        [*(value for _, value in given), *parameters],
    )


def root_builds(cursor: CursorWrapper, generation: Generation, roots: Collection[str]) -> list[Write]:
    """The documents or rows that these root rows have."""
    return builds(cursor, generation, _document_keys(cursor, generation.plan, set(roots), ()))


def builds(cursor: CursorWrapper, generation: Generation, keys: Collection[str]) -> list[Write]:
    """The documents of these keys, or the rows of these root keys, that there are."""
    return _made(generation, [row for rows in together.ask(cursor, _asking_builds(generation, keys)) for row in rows])


def _asking_builds(generation: Generation, keys: Collection[str]) -> list[Statement]:
    if not keys:
        return []
    faults.reached(faults.AMID_BUILD, generation.plan.name, keys)
    return _chunked(generation.plan.build_sql, keys)


def _made(generation: Generation, rows: Rows) -> list[Write]:
    name, number = generation.plan.name, generation.number
    if generation.plan.kind == "document":
        return [DocumentWrite(name, number, key, body) for key, body in rows]
    return [_row(generation, row) for row in rows]


def present(cursor: CursorWrapper, generation: Generation, keys: Collection[str]) -> list[Write]:
    """Where the documents of these keys, or the rows of these root keys, would be that there are; none is built.

    What is not asked for of the inner query PostgreSQL leaves out: 1 us for an order in place of 15.
    """
    plan = generation.plan
    names = ("key",) if plan.kind == "document" else ("row_id", "partition")
    columns = ", ".join(f"b.{name}" for name in names)
    found = _in_chunks(cursor, f"SELECT {columns} FROM ({plan.build_sql}) AS b ({', '.join(names)})", keys)
    if plan.kind == "document":
        return [_document(generation, key, None) for [key] in found]
    return [RowWrite(plan.name, generation.number, partition, row_id) for row_id, partition in found]


def _is_root(plan: Plan, dependency: Dependency) -> bool:
    """Whether the dependency is the root's own row (a table may also be read by a path back to itself)."""
    return dependency.table == plan.root_table and dependency.anchor == plan.root_pk and dependency.touched_sql is None


def _roots(cursor: CursorWrapper, dependency: Dependency, changes: Iterable[Change]) -> set[str]:
    anchors = _anchors(dependency, changes)
    if dependency.touched_sql is None:
        return anchors
    return {root for [root] in _in_chunks(cursor, dependency.touched_sql, anchors)}


def _anchors(dependency: Dependency, changes: Iterable[Change]) -> set[str]:
    return {value for change in changes for value in change.values(dependency.anchor)}


def _document_keys(cursor: CursorWrapper, plan: Plan, roots: set[str], own: Iterable[Change]) -> set[str]:
    """The keys to look at: those of the touched rows now, and those that changed rows had before."""
    if plan.key_column == plan.root_pk or plan.key_column is None:
        return roots
    before = {key for change in own for key in change.values(plan.key_column)}
    return before | {key for [key] in _in_chunks(cursor, plan.placed_sql, roots)}


def _document(generation: Generation, key: str, body: str | None) -> DocumentWrite:
    return DocumentWrite(generation.plan.name, generation.number, key, body)


def _may_have_moved(plan: Plan, change: Change) -> bool:
    """Whether the row may have been in another partition before the change; where it was before that, the change that
    took it from there says.
    """
    if change.before is None or change.after is None:
        return True
    if change.before == change.after:
        return False
    before, after = json.loads(change.before), json.loads(change.after)
    return any(before.get(column) != after.get(column) for column in plan.routes[plan.root_table])


def _places(cursor: CursorWrapper, plan: Plan, roots: set[str], own: Sequence[Change]) -> Iterator[tuple[str, str]]:
    """(row id, partition) where the rows may have been: those of their records before, and of the rows now."""
    for rows in together.ask(cursor, [*_asking_before(plan, own), *_chunked(plan.placed_sql, roots)]):
        yield from rows


def _asking_before(plan: Plan, changes: Sequence[Change]) -> list[Statement]:
    """The statements that ask for (row id, partition) of the changes' records before."""
    records = [change.before for change in changes if change.before]
    sql = plan.record_sql or ""
    chunks = [records[start : start + CHUNK] for start in range(0, len(records), CHUNK)]
    return [Statement(sql, [f"[{','.join(chunk)}]"]) for chunk in chunks]


def _row(generation: Generation, row: Sequence[Any]) -> RowWrite:
    row_id, partition, position, values, shares, body = row
    facets = facets_of(generation.plan.filters, values)
    measured = list(zip(generation.plan.measures, shares, strict=True))
    return RowWrite(
        generation.plan.name,
        generation.number,
        partition,
        row_id,
        body,
        tuple(member(facet, position, row_id) for facet in facets),
        # A share of nothing is not kept: a measure that no row adds to has no field.
        tuple((measure(facet, name), share) for facet in facets for name, share in measured if share),
    )


def facets_of(filters: Sequence[str], values: Sequence[str | None]) -> Sequence[str]:
    """The selections that a row is listed under: all rows, and each subset of its filter values."""
    return _facets(tuple(filters), tuple(values))


@lru_cache(maxsize=1_000)  # many rows have the same few values
def _facets(filters: tuple[str, ...], values: tuple[str | None, ...]) -> tuple[str, ...]:
    pairs = [facet_part(name, value) for name, value in zip(filters, values, strict=True)]
    return tuple("&".join(chosen) for size in range(len(pairs) + 1) for chosen in combinations(pairs, size))


def facet_part(name: str, value: str | None) -> str:
    """One filter value of a facet; a row without the value has the bare name."""
    return name if value is None else f"{name}={quote(value, safe='')}"


def member(facet: str, position: str, row_id: str) -> str:
    """A row's entry in its partition's index."""
    return f"{facet}\0{position}{SEPARATOR}{row_id}"


def measure(facet: str, name: str) -> str:
    """The field that keeps a measure of one facet."""
    return f"{facet}|{name}"


def _in_chunks(cursor: CursorWrapper, sql: str, keys: Collection[str]) -> Rows:
    """The rows of a statement that takes one array of keys."""
    return [row for rows in together.ask(cursor, _chunked(sql, keys)) for row in rows]


def _chunked(sql: str, keys: Collection[str]) -> list[Statement]:
    """The statement for a bounded number of keys at a time. For a few its plan is kept: to make it takes longer than
    to run it, and it is the same for any few.
    """
    ordered = sorted(keys)
    if not sql:
        return []
    if 0 < len(ordered) <= FEW:
        return [together.kept(sql.replace(KEYS, FEW_KEYS), *ordered, *ordered[-1:] * (FEW - len(ordered)))]
    return [Statement(sql, [_array(ordered[start : start + CHUNK])]) for start in range(0, len(ordered), CHUNK)]


def _array(keys: Sequence[str]) -> str | list[str]:
    """The keys as an array. Whole numbers are written out: it is quicker than to look into each for what to quote."""
    is_plain = all(key.isascii() and key.isdigit() for key in keys)
    return f"{{{','.join(keys)}}}" if is_plain else list(keys)
