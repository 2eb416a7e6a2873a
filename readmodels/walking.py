"""The way of an audit through one generation, a bounded stretch at a time, each a short snapshot of its own: first
along the root's key, for what is missing or stale, then along what is stored, for orphans and uneven partitions.

A position is data, so that whoever walks can stop after any stretch and go on another day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.db import DatabaseError, connection
from django.db.backends.utils import CursorWrapper

from readmodels import buckets, building, deadletters, isolation, snapshot
from readmodels.generations import Generation
from readmodels.store import Store
from readmodels.stored import Place, Stored, place_of
from readmodels.suspects import Shown, Suspects, absent, parked, read, require_current, suspects
from readmodels.values import DocumentWrite, RowWrite


@dataclass(frozen=True)
class Position:
    """How far: the last root key, or, in the store, the scan, partitions it met, and the scan of the first of them."""

    after: str | None = None
    is_in_store: bool = False
    scan: int = 0
    partitions: tuple[str, ...] = ()
    row: int = 0


@dataclass(frozen=True)
class Stretch:
    """What was met on a stretch. `following` is None at the end of the way."""

    suspects: Suspects
    following: Position | None = None
    compared: int = 0  # built from the tables
    stored: int = 0  # met in the store
    partitions: int = 0
    uneven: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    parked: list[Place] = field(default_factory=list)
    unbuilt: list[Place] = field(default_factory=list)  # can't be built, and are not parked

    @property
    def rows(self) -> int:
        """How many documents or rows were looked at."""
        return self.compared + self.stored


def stretch(store: Store, generation: Generation, position: Position, rows: int) -> Stretch:
    """The next stretch, of about so many rows. Raises GenerationOver."""
    if not position.is_in_store:
        return _along_the_tables(store, generation, position, rows)
    if generation.plan.kind == "document":
        scan, documents = Stored(store, generation).documents(position.scan, rows)
        following = Position(is_in_store=True, scan=scan) if scan else None
        return _in_store(store, generation, documents, [], following)
    return _along_partitions(store, generation, position, rows)


def sample(store: Store, generation: Generation, count: int, rows: int) -> Iterator[Stretch]:
    """Stretches of about so many rows of the tables, and of the store, met at random, with a few partitions whole."""
    roots = _random_roots(generation, count)
    for start in range(0, len(roots), rows):
        with snapshot.reading() as (cursor, now):
            require_current(cursor, generation)
            places = _places(cursor, generation, roots[start : start + rows])
            shown = read(cursor, generation, now, places)
        yield Stretch(suspects(store, generation, shown), compared=len(places))
    met = Stored(store, generation).sample(count)
    for start in range(0, len(met), rows):
        some = met[start : start + rows]
        partitions = sorted({place.partition for place in some if isinstance(place, RowWrite)})
        yield _in_store(store, generation, some, partitions, None)


def _along_the_tables(store: Store, generation: Generation, position: Position, rows: int) -> Stretch:
    try:
        with snapshot.reading() as (cursor, now):
            require_current(cursor, generation)
            known = buckets.read(cursor)
            roots = building.roots_between(cursor, generation.plan, position.after, None, rows)
            deadly = deadletters.deadly(cursor, generation.plan.name).intersection(roots)
            writes = building.root_builds(cursor, generation, [root for root in roots if root not in deadly])
            kept_back, unbuilt = _not_built(cursor, generation, sorted(deadly))
    except DatabaseError as error:
        if isolation.is_transient(error):
            raise
        if rows > 1:  # a row that can't be built is come upon in ever shorter stretches
            return _along_the_tables(store, generation, position, max(1, rows // 8))
        return _past_the_next(store, generation, position)
    shown = Shown(now, known, {place_of(write): write for write in writes})
    following = Position(after=roots[-1]) if len(roots) == rows else Position(is_in_store=True)
    found = suspects(store, generation, shown)
    return Stretch(found, following, compared=len(writes), parked=kept_back, unbuilt=unbuilt)


def _past_the_next(store: Store, generation: Generation, position: Position) -> Stretch:
    with snapshot.reading() as (cursor, now):
        shown = read(cursor, generation, now, [])
        roots = building.roots_between(cursor, generation.plan, position.after, None, 1)
        kept_back, unbuilt = _not_built(cursor, generation, roots)
    following = Position(after=roots[0]) if roots else Position(is_in_store=True)
    return Stretch(suspects(store, generation, shown), following, parked=kept_back, unbuilt=unbuilt)


def _not_built(cursor: CursorWrapper, generation: Generation, roots: Sequence[str]) -> tuple[list[Place], list[Place]]:
    """The places of these roots, which can't be built: (those that are parked, the others)."""
    places = _places(cursor, generation, roots) if roots else []
    kept_back = parked(cursor, generation, places)
    return kept_back, [place for place in places if place not in kept_back]


def _along_partitions(store: Store, generation: Generation, position: Position, rows: int) -> Stretch:
    stored = Stored(store, generation)
    scan, names, row = position.scan, position.partitions, position.row
    if not names:
        scan, found = stored.partitions(scan, rows)
        names = tuple(found)
    places: list[Place] = []
    whole: list[str] = []
    while names and len(places) < rows:
        row, some = stored.rows(names[0], row, rows)
        places += some
        if not row:
            whole.append(names[0])
            names = names[1:]
    following = Position(None, True, scan, names, row) if names or scan else None
    return _in_store(store, generation, places, whole, following)


def _in_store(
    store: Store, generation: Generation, places: Sequence[Place], partitions: Sequence[str], following: Position | None
) -> Stretch:
    """What a fresh build does not give of these places; what is stale of them, the way along the tables has met."""
    with snapshot.reading() as (cursor, now):
        require_current(cursor, generation)
        shown = absent(cursor, generation, now, places)
    found = suspects(store, generation, shown)
    uneven, unsettled = Stored(store, generation).uneven(partitions, shown.buckets.markers)
    return Stretch(found, following, 0, len(places), len(partitions), uneven, unsettled)


def _random_roots(generation: Generation, count: int) -> list[str]:
    """About so many root keys out of random blocks of the table, as many blocks as rows are wanted: a few ms each."""
    table = connection.ops.quote_name(generation.plan.root_table)
    key = connection.ops.quote_name(generation.plan.root_pk)
    with snapshot.reading() as (cursor, _):
        cursor.execute("SELECT pg_relation_size(%s::regclass) / current_setting('block_size')::int", [table])
        blocks = cursor.fetchone()[0]
        percent = min(100.0, 100.0 * max(count, 100) / max(blocks, 1))
        cursor.execute(
            f"SELECT {key}::text FROM {table} TABLESAMPLE SYSTEM (%s) ORDER BY random() LIMIT %s", [percent, count]
        )
        return [root for [root] in cursor.fetchall()]


def _places(cursor: CursorWrapper, generation: Generation, roots: Sequence[str]) -> list[Place]:
    """Where the documents or rows of these roots are, or would be."""
    plan = generation.plan
    if plan.kind == "document" and plan.key_column == plan.root_pk:
        return [DocumentWrite(plan.name, generation.number, root, None) for root in roots]
    cursor.execute(plan.placed_sql, [list(roots)])
    if plan.kind == "document":
        return [DocumentWrite(plan.name, generation.number, key, None) for [key] in cursor.fetchall()]
    return [RowWrite(plan.name, generation.number, partition, row_id) for row_id, partition in cursor.fetchall()]
