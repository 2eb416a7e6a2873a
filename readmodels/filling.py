"""Fills a generation from PostgreSQL in key ranges, each a short snapshot of its own, beside the projector."""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from django.db import Error, connection

from readmodels import buckets, building, consistency, deadletters, isolation, keys, ranges, snapshot
from readmodels.conf import conf
from readmodels.errors import Died
from readmodels.generations import Generation
from readmodels.ranges import Range
from readmodels.snapshot import Snapshot
from readmodels.store import Store
from readmodels.values import bucket_of

# Called after each range that is stored, with how many rows it had.
OnRange = Callable[[int], None]


def take_part(store: Store, generation: Generation, holder: str, on_range: OnRange) -> None:
    """Ranges of a generation that is being built are filled, until this process can have no more of them.

    Others may be at it beside, each a `holder` of one range. What `on_range` raises ends it.
    """
    try:
        taken = ranges.following(generation, holder)
        while taken:
            rows = _fill_taken(store, generation, taken)
            taken = ranges.following(generation, holder, taken, rows)
            on_range(rows)
    finally:
        with suppress(Error):  # it is free by itself after a while
            ranges.give_back(generation, holder)


def _fill_taken(store: Store, generation: Generation, taken: Range) -> int:
    """How many rows the range had; takes as long as REBUILD_ROWS_PER_SECOND asks for."""
    began = time.monotonic()
    counts: list[int] = []
    fill(store, generation, range(keys.BUCKETS), counts.append, taken.after, taken.upto)
    least_seconds = sum(counts) * taken.processes / conf().rebuild_rows_per_second
    time.sleep(max(0.0, began + least_seconds - time.monotonic()))
    return sum(counts)


def fill(
    store: Store,
    generation: Generation,
    into: Collection[int],
    on_range: OnRange,
    after: str | None = None,
    upto: str | None = None,
) -> None:
    """Every document of the generation that belongs into these buckets is stored, or something newer is.

    Of the root keys after one (None: from the first) up to another (None: to the last). One that can't be made is
    parked; a range that fails is made smaller until it holds nothing else. What `on_range` raises ends it.
    """
    rows = conf().batch_rows
    is_more = True
    while is_more:
        began = None
        try:
            began = _now() if rows == 1 else None
            count, last = _fill_range(store, generation, into, (after, upto), rows)
        except Exception as error:
            if isolation.is_transient(error):
                raise
            if rows > 1:
                rows = max(1, rows // 8)
                continue
            count, last = 1, _park_next(generation, after, error, began)
        is_more, after = last is not None and last != upto, last
        # Back to full ranges once past what failed.
        rows = conf().batch_rows if rows == 1 else rows
        on_range(count)


def _fill_range(
    store: Store, generation: Generation, into: Collection[int], between: tuple[str | None, str | None], rows: int
) -> tuple[int, str | None]:
    """(how many rows there were, the last one's key or None at the end) of the next range, which is stored."""
    started_ms = store.now_ms()
    plan = generation.plan
    asking = [buckets.ASKING, building.asking_roots(plan, *between, rows), deadletters.asking_deadly(plan.name)]
    with snapshot.reading_at_once(asking) as (cursor, now, [[[markers]], found, parked]):
        roots = [root for [root] in found]
        deadly = {root for [root] in parked}.intersection(roots)
        writes = building.root_builds(cursor, generation, [root for root in roots if root not in deadly])
    _park(generation, sorted(deadly), Died("not built: it is parked elsewhere, since projectors died at it"))
    attempt = consistency.attempt(started_ms, now, buckets.parsed(markers).markers)
    store.apply(attempt, [write for write in writes if bucket_of(write) in into])
    return len(roots), roots[-1] if len(roots) == rows else None


def _now() -> Snapshot:
    with snapshot.reading() as (_, now):
        return now


def _park_next(generation: Generation, after: str | None, error: Exception, seen_in: Snapshot | None) -> str | None:
    """The row after the given one is parked in this generation; returns its key, None where there is none."""
    with connection.cursor() as cursor:
        roots = building.roots_between(cursor, generation.plan, after, None, 1)
    if not roots:
        return None
    _park(generation, roots, error, seen_in)
    return roots[0]


def _park(generation: Generation, roots: Sequence[str], error: Exception, seen_in: Snapshot | None = None) -> None:
    """Each of these root rows is parked in this generation."""
    deadletters.park([isolation.failure(generation, root, None, [], error) for root in roots], 1, seen_in)
