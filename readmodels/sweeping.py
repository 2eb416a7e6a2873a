"""The sweep: each second, the authority on what there is to do. Wakes only make it quicker."""

from collections.abc import Callable

import structlog

from readmodels import (
    buckets,
    consistency,
    generations,
    heartbeat,
    newer_code,
    outbox,
    projector,
    rebuild,
    retention,
    snapshot,
)
from readmodels.errors import EpochMoved
from readmodels.outbox import Lane
from readmodels.store import Store

log = structlog.get_logger()


def sweep(
    store: Store,
    ask_for_repair: Callable[[], object],
    ask_for_bulk: Callable[[], object],
    may_go_on: Callable[[], bool] = lambda: True,
) -> int:
    """The live lane is projected, repair and bulk lane are asked for where due, and every bucket shows the progress."""
    beat(store)
    if is_repair_due(store):
        ask_for_repair()
    projected = sum(projector.settle(store, lane, may_go_on=may_go_on) for lane in (Lane.LIVE, Lane.NEWER))
    newer_code.forget()
    if outbox.has_work(Lane.BULK):
        ask_for_bulk()
    publish_progress(store)
    retention.expire(store)
    return projected


def publish_progress(store: Store) -> None:
    """Every filled bucket says what the read models have applied, as of one snapshot taken now."""
    asking = [buckets.ASKING, generations.ASKING_CURRENT]
    with snapshot.reading_at_once(asking) as (cursor, now, [[[markers]], [[registered]]]):
        known = buckets.parsed(markers)
        progress = consistency.progress(cursor, now, generations.current_in(cursor, registered), [])
    store.put_progress(known.filled, known.markers, now.version, now.store_id, progress)


def beat(store: Store) -> None:
    """Redis is known and trusted, or what it lost is being mended; a moved epoch is raised on the way."""
    try:
        heartbeat.beat(store)
    except EpochMoved:
        snapshot.raise_epoch(store)
        heartbeat.beat(store)


def repair(store: Store, on_range: rebuild.OnRange = lambda name, rows: None) -> bool:
    """Everything is built that was due, and every bucket says so at once; False: another process is at it."""
    is_done = rebuild.repair(store, on_range)
    if is_done:
        publish_progress(store)
    return is_done


def is_repair_due(store: Store) -> bool:
    """Whether a repair has anything to do; a moved epoch is raised on the way."""
    try:
        return rebuild.is_due(store)
    except EpochMoved:
        snapshot.raise_epoch(store)
        return rebuild.is_due(store)
