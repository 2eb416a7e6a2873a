"""Erasure, step 1: whatever is made of a row that says no more who it was holds what a fresh build gives.

In every generation, found by the dependency graph and written under the version guard: an attempt or a rebuild that
read before the erasure can't bring anything back. What can't be built goes. In a generation that was given up all of
it goes, and tombstones keep late attempts out there, too.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError
from django.db.backends.utils import CursorWrapper

from readmodels import buckets, building, consistency, deadletters, generations, isolation, records, snapshot
from readmodels.building import Write
from readmodels.conf import conf
from readmodels.errors import WriteRefused
from readmodels.generations import Generation
from readmodels.models import GIVEN_UP
from readmodels.outbox import Change
from readmodels.records import Row
from readmodels.snapshot import Snapshot
from readmodels.store import Store
from readmodels.stored import Stored, place_of


@dataclass
class Place:
    """What was found of the person in one place, and what became of it; numbers only."""

    name: str
    found: int = 0
    rewritten: int = 0
    removed: int = 0


def settle(store: Store, row: Row, on_batch: Callable[[int], object]) -> tuple[Snapshot, list[Place]]:
    """Every document and row made of this row is of a snapshot that shows it as it is now, or gone.

    Returns the snapshot that this is true of at the least. `on_batch` is called with how many were looked at.
    Generations that only newer code can build are left to it.
    """
    with snapshot.reading() as (cursor, since):
        registered = [each for each in generations.every(cursor) if not each.plan.is_newer]
        known = records.of_row(cursor, row)
    return since, [_settle(store, each, row, known, on_batch) for each in registered]


def newer(cursor: CursorWrapper) -> list[str]:
    """What is left to newer code: generations whose plans this code can't read."""
    return [name(each) for each in generations.every(cursor) if each.plan.is_newer and each.state not in GIVEN_UP]


def name(generation: Generation) -> str:
    """How a generation is named in a receipt."""
    return f"{generation.plan.name} {generation.number} ({generation.state})"


def _settle(
    store: Store, generation: Generation, row: Row, known: Sequence[records.Record], on_batch: Callable[[int], object]
) -> Place:
    place = Place(name(generation))
    try:
        for own, roots, is_built in _parts(generation, row, known):
            _store(store, generation, own, roots, place, is_built=is_built)
            on_batch(len(roots) + len(own))
    except DatabaseError as error:
        # Of what was given up the SQL may not run any more; what it holds is found by looking for it.
        if isolation.is_transient(error) or generation.state not in GIVEN_UP:
            raise
    return place


def _parts(
    generation: Generation, row: Row, known: Sequence[records.Record]
) -> Iterator[tuple[list[Change], list[str], bool]]:
    """(changes of the row itself, root keys, whether they are to be built) of a bounded number of documents each."""
    plan = generation.plan
    used = {column for each in plan.dependencies if each.table == row.source for column in each.columns}
    changes = [_made_up(row, tuple(sorted(used)), record) for record in known]
    with snapshot.reading() as (cursor, _):
        roots = set()
        for sql, anchors in building.ways(plan, changes):
            cursor.execute(sql, [anchors])
            roots |= {root for [root] in cursor.fetchall()}
        deadly = deadletters.deadly(cursor, plan.name)
    is_current = generation.state not in GIVEN_UP
    if row.source == plan.root_table and used:
        yield changes, [], is_current and row.key not in deadly
    for is_built, some in ((is_current, sorted(roots - deadly)), (False, sorted(roots & deadly))):
        for start in range(0, len(some), conf().batch_rows):
            yield [], some[start : start + conf().batch_rows], is_built


def _store(
    store: Store, generation: Generation, own: list[Change], roots: list[str], place: Place, *, is_built: bool
) -> None:
    """The documents are stored; one that can't be is removed, whatever else was to be stored with it."""
    try:
        _store_together(store, generation, own, roots, place, is_built=is_built)
    except (DatabaseError, WriteRefused) as error:
        if isolation.is_transient(error) or not is_built:
            raise
        if len(roots) < 2:
            _store_together(store, generation, own, roots, place, is_built=False)
            return
        middle = len(roots) // 2
        _store(store, generation, own, roots[:middle], place, is_built=True)
        _store(store, generation, [], roots[middle:], place, is_built=True)


def _store_together(
    store: Store, generation: Generation, own: list[Change], roots: list[str], place: Place, *, is_built: bool
) -> None:
    plan = generation.plan
    started_ms = store.now_ms()
    with snapshot.reading() as (cursor, now):
        markers = buckets.read(cursor).markers
        named = set(roots).union(*(building.own_roots(plan, change) for change in own))
        writes: list[Write] = building.places(cursor, generation, named, own)
        if is_built:
            built = building.writes_for(cursor, generation, [*own, *_children(generation, roots)], {0: {plan.name}})
            writes = list({**{each: each for each in writes}, **{place_of(each): each for each in built}}.values())
    held = Stored(store, generation).look([place_of(each) for each in writes]).values
    attempt = consistency.attempt(started_ms, now, markers)
    for start in range(0, len(writes), conf().batch_rows):
        store.apply(attempt, writes[start : start + conf().batch_rows])
    deadletters.mute(plan.name, sorted(named))
    for write in writes:
        if held[place_of(write)].is_served:
            place.found += 1
            place.rewritten += write.body is not None
            place.removed += write.body is None


def _made_up(row: Row, columns: tuple[str, ...], record: records.Record) -> Change:
    """The change that an update of all columns of the row would have left, from one state of it to the other."""
    before, after = (None if each is None else json.dumps(each) for each in record)
    return Change(0, 0, row.source, row.key, columns, [], None, False, 0, None, before, after, time.time())


def _children(generation: Generation, roots: Sequence[str]) -> list[Change]:
    """One change for each root row, as a fan-out makes them."""
    plan = generation.plan
    one = Change(0, 0, plan.root_table, "", None, [], (plan.name,), False, 0, None, None, None, time.time())
    return [one._replace(key=root) for root in roots]


def summed(places: Sequence[Place | dict[str, Any]]) -> list[dict[str, Any]]:
    """The places as data, those of one name together, and only those where anything was found."""
    found: dict[str, Place] = {}
    for each in places:
        place = each if isinstance(each, Place) else Place(**each)
        into = found.setdefault(place.name, Place(place.name))
        into.found += place.found
        into.rewritten += place.rewritten
        into.removed += place.removed
    return [vars(place) for place in found.values() if place.found]
