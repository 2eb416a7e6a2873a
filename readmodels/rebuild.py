"""Fills what is empty: a new generation, or the buckets Redis lost. Runs beside the projector under the same guard.

Key ranges, each a short snapshot of its own; a bucket is readable only once it is full, a generation only once it is
switched to. One repair runs at a time (by lease); stopped at any point, the next one begins where nothing was marked
done.
"""

from collections.abc import Callable, Collection
from uuid import uuid4

import structlog
from django.db import connection, transaction

from readmodels import (
    buckets,
    building,
    consistency,
    deadletters,
    generations,
    heartbeat,
    isolation,
    keys,
    outbox,
    snapshot,
)
from readmodels.conf import conf
from readmodels.errors import StoreLost
from readmodels.generations import Generation
from readmodels.models import GenerationState
from readmodels.outbox import Change
from readmodels.snapshot import Snapshot
from readmodels.store import Store
from readmodels.values import bucket_of

log = structlog.get_logger()

LEASE = "repair"
OnRange = Callable[[str, int], None]  # called after each range with the read model's name and how many rows it had


def is_due(store: Store) -> bool:
    """Whether anything is lost, unbuilt, truncated or left over."""
    with snapshot.reading() as (cursor, _):
        known = buckets.read(cursor)
        truncated = outbox.truncations(cursor)
    return bool(
        truncated
        or len(known.filled) < keys.BUCKETS
        or generations.are_due()
        or store.markers() != known.markers
        or store.pointers() != generations.pointers()
    )


def repair(store: Store, on_range: OnRange = lambda name, rows: None) -> bool:
    """Everything is built that was due; False: another process is at it.

    Raises StoreUnavailable and the like where it can't go on; what it marked done stays done.
    """
    holder = uuid4().hex
    if not store.take_leases([LEASE], holder, conf().repair_lease_seconds):
        return False

    def after_range(name: str, rows: int) -> None:
        store.keep_lease(LEASE, holder, conf().repair_lease_seconds)
        on_range(name, rows)

    try:
        _begin_lost_buckets(store)
        # Before anything is built: what may not be served any more is not served meanwhile.
        generations.point(store)
        truncated, seen_in = _replace_truncated()
        _fill_buckets(store, after_range)
        _build_generations(store, after_range)
        outbox.acknowledge(truncated, seen_in)
        generations.point(store)
        generations.drop_retired(store)
    finally:
        store.give_back([LEASE], holder)
    return True


def _begin_lost_buckets(store: Store) -> None:
    with snapshot.reading() as (cursor, now):
        expected = buckets.read(cursor).markers
    # What emptied the buckets took the epoch along; a later one must be higher than that of any document.
    store.raise_epoch(now.epoch)
    lost = [number for number, marker in enumerate(store.markers()) if marker != expected[number]]
    if lost:
        log.warning("buckets_lost", buckets=len(lost))
        # New markers first in PostgreSQL: whoever still expects the old ones is refused from here on.
        store.begin_buckets(buckets.give_new_markers(lost))


def _replace_truncated() -> tuple[list[Change], Snapshot]:
    """Each generation that reads a truncated table has a successor to be built from nothing.

    Returns the truncations that building the successors does away with, and the snapshot they were seen in.
    """
    with snapshot.reading() as (cursor, now):
        truncated = outbox.truncations(cursor)
        current = generations.current(cursor)
    tables = {change.source for change in truncated}
    # The newest of each read model, of which there may be one being built.
    newest = {each.plan.name: each for each in current if each.state != GenerationState.RETIRED}
    for generation in newest.values():
        if tables & set(generation.plan.routes):
            generations.replace(generation)
    return truncated, now


def _fill_buckets(store: Store, on_range: OnRange) -> None:
    with snapshot.reading() as (cursor, since):
        found = buckets.read(cursor)
        live = [each for each in generations.current(cursor) if each.state == GenerationState.LIVE]
    empty = {number: marker for number, marker in enumerate(found.markers) if number not in found.filled}
    if empty:
        for generation in live:
            _fill(store, generation, empty, on_range)
        with transaction.atomic(), connection.cursor() as cursor:
            heartbeat.note_filled(cursor, since)
            buckets.mark_filled(cursor, empty)


def _build_generations(store: Store, on_range: OnRange) -> None:
    with snapshot.reading() as (cursor, since):
        markers = buckets.read(cursor).markers
        unbuilt = [each for each in generations.current(cursor) if each.state == GenerationState.BUILDING]
    for generation in unbuilt:
        _fill(store, generation, range(keys.BUCKETS), on_range)
        with transaction.atomic(), connection.cursor() as cursor:
            heartbeat.note_filled(cursor, since)
            if buckets.read(cursor).markers != markers:
                raise StoreLost("a bucket was lost while a generation was built")
            generations.switch(generation)
        generations.point(store)


def _fill(store: Store, generation: Generation, into: Collection[int], on_range: OnRange) -> None:
    """Every document of the generation that belongs into these buckets is stored, or something newer is.

    One that can't be made is parked; a range that fails is made smaller until it holds nothing else.
    """
    after: str | None = None
    rows = conf().batch_rows
    is_more = True
    while is_more:
        try:
            count, last = _fill_range(store, generation, into, after, rows)
        except Exception as error:
            if isolation.is_transient(error):
                raise
            if rows > 1:
                rows = max(1, rows // 8)
                continue
            count, last = 1, _park_next(generation, after, error)
        is_more, after = last is not None, last
        # Back to full ranges once past what failed.
        rows = conf().batch_rows if rows == 1 else rows
        on_range(generation.plan.name, count)


def _fill_range(
    store: Store, generation: Generation, into: Collection[int], after: str | None, rows: int
) -> tuple[int, str | None]:
    """(how many rows there were, the last one's key or None at the end) of the next range, which is stored."""
    started_ms = store.now_ms()
    with snapshot.reading() as (cursor, now):
        markers = buckets.read(cursor).markers
        writes, last = building.range_writes(cursor, generation, after, rows)
    attempt = consistency.attempt(started_ms, now, markers)
    store.apply(attempt, [write for write in writes if bucket_of(write) in into])
    return len(writes), last


def _park_next(generation: Generation, after: str | None, error: Exception) -> str | None:
    """The row after the given one is parked in this generation; returns its key, None where there is none."""
    plan = generation.plan
    with connection.cursor() as cursor:
        cursor.execute(plan.next_sql, [after, after])
        row = cursor.fetchone()
    if row is None:
        return None
    key: str = row[0]
    deadletters.park([isolation.failure(generation, key, None, [], error)], attempts=1)
    return key
