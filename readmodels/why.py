"""Why a document is as it is: the rows that it was made from, the last change that touched it, and how far that got.

Everything of PostgreSQL is read in one snapshot, then Redis is asked once; what is projected in between may show.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Model

from readmodels import building, consistency, deadletters, generations, snapshot
from readmodels.building import Write
from readmodels.conf import conf
from readmodels.consistency import Stamp
from readmodels.deadletters import DeadLetter
from readmodels.declare import ReadModel, declared
from readmodels.errors import NotProjected, WrongKey
from readmodels.fingerprint import fingerprint
from readmodels.generations import Generation
from readmodels.graph import Path, sources
from readmodels.models import GenerationState
from readmodels.plan import Plan
from readmodels.positions import INTEGER_WIDTH, row_key, value_field
from readmodels.snapshot import EPOCH_WIDTH, is_visible
from readmodels.store import Store
from readmodels.values import VERSION_LENGTH, DocumentWrite, RowWrite

# Rows of each table that are shown: an order has some lines, a customer may have a hundred thousand orders.
MOST_ROWS = 20


class State(Enum):
    """What Redis holds in the place of a document or row."""

    SERVED = "served"
    TOMBSTONE = "tombstone"
    ABSENT = "absent"


@dataclass(frozen=True)
class SourceRow:
    """A row that the document is made from, with the columns that are used and what they hold now."""

    table: str
    key: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Touch:
    """A change that touched the document; its acknowledgement is None while it is not projected."""

    table: str
    key: str | None
    columns: list[str] | None
    writers: list[int]
    before: dict[str, Any] | None
    captured_at: datetime
    trace: str | None
    acknowledged_epoch: int | None
    acknowledged_xid: int | None


@dataclass(frozen=True)
class Place:
    """What Redis holds under one key; `built_at` is kept of documents only.

    `is_as_in_postgresql`: a fresh build gives the same. `shows_last_change` is None where it can't be told.
    """

    key: str
    state: str
    version: str | None
    epoch: int | None
    number: int | None
    built_at: datetime | None
    is_as_in_postgresql: bool
    shows_last_change: bool | None


@dataclass(frozen=True)
class Why:
    """The answer. `roots` are the keys of the root rows; no place: the row is gone, and where it was is not known."""

    read_model: str
    generation: int
    is_declared: bool
    roots: list[str]
    places: list[Place]
    rows: list[SourceRow]
    has_more_rows: bool
    last_change: Touch | None
    kept_hours: int
    pending_changes: int
    dead_letters: list[DeadLetter]
    build_error: str | None

    @property
    def is_right(self) -> bool:
        """Whether it is served, and nothing of it is pending, parked or other than PostgreSQL has it."""
        is_served = any(place.state == State.SERVED.value for place in self.places)
        is_as_it_should_be = all(place.is_as_in_postgresql for place in self.places)
        return is_served and is_as_it_should_be and not self.pending_changes and not self.dead_letters


@dataclass(frozen=True)
class Target:
    """What the KEY means: a document's key, or one place in a collection (None: wherever the row is); the root rows."""

    roots: list[str]
    document_key: str | None = None
    place: tuple[str, str] | None = None


@dataclass(frozen=True)
class Way:
    """A path from the roots: what is read at its end, and the anchor's values by which a change there leads back."""

    path: Path
    table: str
    pk: str
    columns: list[str]
    anchor: str
    anchors: list[str]
    updates_only: bool


@dataclass(frozen=True)
class Found:
    """What the snapshot of PostgreSQL shows: what is answered but for the places, and what belongs in each of these."""

    why: Why
    expected: list[Write]


def explain(store: Store, name: str, key: str, most_rows: int = MOST_ROWS) -> Why:
    """Why the document of this key, or the row (`partition/row id`, or its root's key), is as it is.

    Raises WrongKey, and NotProjected where nothing of the read model is served.
    """
    with snapshot.reading() as (cursor, _):
        cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{conf().statement_seconds}s"])
        found = _read(cursor, declared()[name], _live(cursor, name), key, most_rows)
    stored = store.stamped(found.expected)
    pairs = zip(found.expected, stored, strict=True)
    return replace(found.why, places=[_place(found.why, expected, stamped) for expected, stamped in pairs])


def _live(cursor: CursorWrapper, name: str) -> Generation:
    for generation in generations.current(cursor):
        if generation.plan.name == name and generation.state == GenerationState.LIVE:
            return generation
    raise NotProjected(f"no generation of {name} is live yet; `readmodels status` tells how far it is")


def _read(
    cursor: CursorWrapper, read_model: type[ReadModel], generation: Generation, key: str, most_rows: int
) -> Found:
    plan = generation.plan
    target = _target(cursor, read_model.root, plan, key)
    ways = _ways(cursor, read_model, target.roots)
    rows, has_more = _rows(cursor, read_model.root, ways, target.roots, most_rows)
    last, pending = _changes(cursor, *_condition(plan, ways, target))
    # A row that is gone is known by its change alone.
    known = last.key if last and last.table == plan.root_table else None
    roots = sorted({*target.roots, *([known] if known else ())})
    expected, error = _expected(cursor, generation, target, last)
    why = Why(
        read_model=plan.name,
        generation=generation.number,
        is_declared=fingerprint(read_model) == generation.fingerprint,
        roots=roots,
        places=[],
        rows=rows,
        has_more_rows=has_more,
        last_change=last,
        kept_hours=conf().acknowledged_hours,
        pending_changes=pending,
        dead_letters=[letter for root in roots for letter in deadletters.of_document(plan.name, root)],
        build_error=error,
    )
    return Found(why, expected)


# What the key means


def key_value(root: type[Model], column: str, text: str) -> Any:
    """The value of a key column that the text says, as PostgreSQL takes it; raises WrongKey."""
    field = next(field for field in root._meta.concrete_fields if field.column == column)
    kind = value_field(field)
    try:
        if "\0" in text:
            raise ValueError
        return kind.get_db_prep_value(kind.to_python(text), connection)
    except (ValidationError, ValueError, TypeError, ArithmeticError) as error:
        accepted = kind.description % vars(kind)
        raise WrongKey(f"{text!r} is no {root._meta.label}.{field.name}; accepted: {accepted}") from error


def _target(cursor: CursorWrapper, root: type[Model], plan: Plan, key: str) -> Target:
    if plan.kind == "document":
        column = plan.key_column or plan.root_pk
        rows = _keys(cursor, root, column, key)
        return Target([pk for pk, _ in rows], document_key=rows[0][1] if rows else key)
    partition, slash, row_id = key.rpartition("/")
    # A row's id is its key, padded where that is an integer; people may leave the padding off.
    pk = row_key(row_id, is_integer=plan.is_integer_pk)
    roots = [pk for pk, _ in _keys(cursor, root, plan.root_pk, pk)] or [pk]
    if not slash:
        return Target(roots)
    return Target(roots, place=(partition, roots[0].zfill(INTEGER_WIDTH) if plan.is_integer_pk else roots[0]))


def _keys(cursor: CursorWrapper, root: type[Model], column: str, text: str) -> list[tuple[str, str]]:
    """(primary key, key) of the rows of this key, as PostgreSQL writes them."""
    pk, key, table = (_quote(name) for name in (_pk(root), column, root._meta.db_table))
    cursor.execute(
        f"SELECT {pk}::text, {key}::text FROM {table} WHERE {key} = %s ORDER BY 1", [key_value(root, column, text)]
    )
    return [(pk, key) for pk, key in cursor.fetchall()]


# The rows that it is made from


def _ways(cursor: CursorWrapper, read_model: type[ReadModel], roots: list[str]) -> list[Way]:
    return [
        Way(
            path=source.path,
            table=source.model._meta.db_table,
            pk=_pk(source.model),
            columns=source.columns,
            anchor=source.path[-1].far_column if source.path else _pk(read_model.root),
            anchors=_anchors(cursor, read_model.root, source.path, roots),
            updates_only=source.updates_only,
        )
        for source in sorted(sources(read_model), key=lambda source: len(source.path))
    ]


def _anchors(cursor: CursorWrapper, root: type[Model], path: Path, roots: list[str]) -> list[str]:
    if not path or (len(path) == 1 and path[0].is_reverse and path[0].near_column == _pk(root)):
        return roots
    near = f"t{len(path) - 1}.{_quote(path[-1].near_column)}"
    cursor.execute(
        f"SELECT DISTINCT {near}::text FROM {_joined(root, path[:-1])} AND {near} IS NOT NULL", [_values(root, roots)]
    )
    return [anchor for [anchor] in cursor.fetchall()]


def _rows(
    cursor: CursorWrapper, root: type[Model], ways: Sequence[Way], roots: list[str], most: int
) -> tuple[list[SourceRow], bool]:
    """The rows, `most` of each table at the most, and whether there are more."""
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    has_more = False
    for way in ways:
        end = f"t{len(way.path)}"
        pairs = ", ".join(f"'{column}', {end}.{_quote(column)}" for column in way.columns)
        cursor.execute(
            f"SELECT DISTINCT {end}.{_quote(way.pk)}::text, jsonb_build_object({pairs})"
            f" FROM {_joined(root, way.path)} ORDER BY 1 LIMIT %s",
            [_values(root, roots), most + 1],
        )
        rows = cursor.fetchall()
        has_more = has_more or len(rows) > most
        for key, values in rows[:most]:
            found[way.table, key] |= json.loads(values)
    return [SourceRow(table, key, values) for (table, key), values in found.items()], has_more


def _joined(root: type[Model], path: Path) -> str:
    """The tables of a path from given roots, as t0, t1 and so on."""
    joins = [f"{_quote(root._meta.db_table)} t0"]
    for i, hop in enumerate(path):
        on = f"t{i + 1}.{_quote(hop.far_column)} = t{i}.{_quote(hop.near_column)}"
        joins.append(f"JOIN {_quote(hop.far._meta.db_table)} t{i + 1} ON {on}")
    return f"{' '.join(joins)} WHERE t0.{_quote(_pk(root))} = ANY(%s)"


def _values(root: type[Model], roots: list[str]) -> list[Any]:
    return [key_value(root, _pk(root), key) for key in roots]


# The changes that touched it


def _condition(plan: Plan, ways: Sequence[Way], target: Target) -> tuple[str, list[Any]]:
    """Which changes touched it, by the rows that it is made from now, as SQL and its values."""
    parts = ["source = %s AND key = ANY(%s) AND %s = ANY(read_models)"]  # what a fan-out left for it
    values: list[Any] = [plan.root_table, target.roots, plan.name]
    for way in ways:
        parts.append(
            "source = %s AND (before->>%s = ANY(%s) OR after->>%s = ANY(%s))"
            " AND (columns && %s::text[] OR (columns IS NULL AND NOT %s))"
            " AND (read_models IS NULL OR %s = ANY(read_models))"
        )
        values += [way.table, way.anchor, way.anchors, way.anchor, way.anchors, way.columns]
        values += [way.updates_only, plan.name]
    if target.document_key is not None:  # by which a row that is gone, or has another key now, is found
        parts.append("source = %s AND %s IN (before->>%s, after->>%s)")
        values += [plan.root_table, target.document_key, plan.key_column, plan.key_column]
    return " OR ".join(f"({part})" for part in parts), values


TOUCH = "source, key, columns, COALESCE(writers, ARRAY[xid]), before, at"


def _changes(cursor: CursorWrapper, condition: str, values: list[Any]) -> tuple[Touch | None, int]:
    """(the last change that touched it, how many are not projected)."""
    cursor.execute(
        f"SELECT {TOUCH}, trace, NULL, NULL, count(*) OVER () FROM readmodels_change WHERE {condition}"
        " ORDER BY at DESC LIMIT 1",
        values,
    )
    pending = cursor.fetchone()
    # A day's changes are read through: nobody asks often enough to pay for an index with each acknowledgement.
    cursor.execute(
        f"SELECT {TOUCH}, trace, acknowledged_epoch, acknowledged_xid FROM readmodels_acknowledged WHERE {condition}"
        " ORDER BY at DESC, acknowledged_xid DESC LIMIT 1",
        values,
    )
    done = cursor.fetchone()
    newest = max((_touch(row) for row in (pending and pending[:-1], done) if row), key=_when, default=None)
    return newest, pending[-1] if pending else 0


def _touch(row: tuple[Any, ...]) -> Touch:
    table, key, columns, writers, before, at, trace, epoch, xid = row
    return Touch(table, key, columns, writers, before and json.loads(before), at, trace, epoch, xid)


def _when(touch: Touch) -> tuple[datetime, bool]:
    """What is pending comes after: a fan-out has the time of the change that it is left of."""
    return touch.captured_at, touch.acknowledged_xid is None


# What belongs in Redis, and what is there


def _expected(
    cursor: CursorWrapper, generation: Generation, target: Target, last: Touch | None
) -> tuple[list[Write], str | None]:
    """What a fresh build has in each place, and the error where it can't be built."""
    plan = generation.plan
    keys = target.roots if target.document_key is None else [target.document_key]
    built, error = _built(cursor, generation, keys)
    if target.document_key is not None:
        return built or [DocumentWrite(plan.name, generation.number, target.document_key, None)], error
    places = [target.place] if target.place else _places(cursor, plan, target.roots, last)
    by_place = {(row.partition, row.row_id): row for row in built if isinstance(row, RowWrite)}
    return [
        by_place.get((partition, row_id), RowWrite(plan.name, generation.number, partition, row_id))
        for partition, row_id in places
    ], error


def _built(cursor: CursorWrapper, generation: Generation, keys: list[str]) -> tuple[list[Write], str | None]:
    try:
        with transaction.atomic():  # a savepoint: what a poison row breaks is only this
            return building.builds(cursor, generation, keys), None
    except DatabaseError as error:
        return [], str(error).strip().splitlines()[0]


def _places(cursor: CursorWrapper, plan: Plan, roots: list[str], last: Touch | None) -> list[tuple[str, str]]:
    """(partition, row id) where the row is, and where it was before its last change."""
    cursor.execute(plan.placed_sql, [roots])
    found = [(partition, row_id) for row_id, partition in cursor.fetchall()]
    if last and last.before and last.table == plan.root_table:
        cursor.execute(plan.record_sql or "", [json.dumps([last.before])])
        found += [(partition, row_id) for row_id, partition in cursor.fetchall()]
    return list(dict.fromkeys(found))


def _place(why: Why, expected: Write, stamped: tuple[str, Write] | None) -> Place:
    name = expected.key if isinstance(expected, DocumentWrite) else f"{expected.partition}/{expected.row_id}"
    if stamped is None:
        is_right = expected.body is None and why.build_error is None
        return Place(name, State.ABSENT.value, None, None, None, None, is_right, None)
    header, stored = stamped
    stamp = consistency.parse_stamp(header.encode()) if isinstance(stored, DocumentWrite) else None
    version = header[:VERSION_LENGTH]
    return Place(
        key=name,
        state=(State.TOMBSTONE if stored.body is None else State.SERVED).value,
        version=version,
        epoch=int(version[:EPOCH_WIDTH]),
        number=int(version[EPOCH_WIDTH:]),
        built_at=None if stamp is None else stamp.at,
        is_as_in_postgresql=why.build_error is None
        and (expected == stored if expected.body is not None else stored.body is None),
        shows_last_change=_shows(why, stamp),
    )


def _shows(why: Why, stamp: Stamp | None) -> bool | None:
    """Whether the last change is in what was built in this snapshot, of which rows keep the version only."""
    last = why.last_change
    if last is None:
        return None
    if stamp is not None:
        return all(is_visible(xid, stamp.snapshot) for xid in last.writers)
    return True if last.acknowledged_xid is not None and not why.dead_letters else None


def _pk(model: type[Model]) -> str:
    return str(model._meta.pk.column)


def _quote(name: str) -> str:
    return connection.ops.quote_name(name)
