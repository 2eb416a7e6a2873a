"""Fills a generation from PostgreSQL in key ranges, each a short snapshot of its own, beside the projector."""

from collections.abc import Callable, Collection

from django.db import connection

from readmodels import buckets, building, consistency, deadletters, isolation, snapshot
from readmodels.conf import conf
from readmodels.generations import Generation
from readmodels.store import Store
from readmodels.values import bucket_of

# Called after each range that is stored: how many rows it had, and the last one's root key (None: there is no more).
OnRange = Callable[[int, str | None], None]


def fill(
    store: Store, generation: Generation, into: Collection[int], on_range: OnRange, after: str | None = None
) -> None:
    """Every document of the generation that belongs into these buckets is stored, or something newer is.

    Begins after a root key (None: with the first). One that can't be made is parked; a range that fails is made smaller
    until it holds nothing else. What `on_range` raises ends it.
    """
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
        on_range(count, last)


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
