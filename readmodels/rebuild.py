"""Fills what is empty: a new generation, or the buckets Redis lost. Runs beside the projector under the same guard.

Key ranges, each a short snapshot of its own; a bucket is readable only once it is full, a generation only once it is
switched to. One repair runs at a time (by lease); others that are asked for help it to fill a new generation. Stopped
at any point, the next one begins where nothing was marked done.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import blake2b
from uuid import uuid4

import structlog
from django.db import connection, transaction

from readmodels import buckets, builds, drift, filling, generations, heartbeat, keys, outbox, snapshot, switching
from readmodels.conf import conf
from readmodels.errors import RebuildCancelled, StoreLost
from readmodels.generations import Generation
from readmodels.models import PREVIOUS, GenerationState
from readmodels.outbox import Change
from readmodels.snapshot import Snapshot
from readmodels.store import Store

log = structlog.get_logger()

LEASE = "repair"
LOOK_SECONDS = 0.1  # until it is looked again whether others have filled what they had in hand
# Called after each range with the read model's name and how many rows it had; 0 for one that was only looked at.
OnRange = Callable[[str, int], None]


def is_due(store: Store) -> bool:
    """Whether anything is lost, unbuilt, truncated or left over."""
    with snapshot.reading_at_once([buckets.ASKING, outbox.ASKING_TRUNCATIONS]) as (_, _, [[[markers]], truncated]):
        known = buckets.parsed(markers)
    return bool(
        truncated
        or len(known.filled) < keys.BUCKETS
        or generations.are_due()
        or store.markers() != known.markers
        or store.pointers() != generations.pointers()
    )


def repair(store: Store, on_range: OnRange = lambda name, rows: None) -> bool:
    """Everything is built that was due; False: another process is at it, and was helped for as long as it could be.

    Raises StoreUnavailable and the like where it can't go on; what it marked done stays done.
    """
    holder = uuid4().hex
    if not store.take_lease(LEASE, holder, conf().repair_lease_seconds):
        _help(store, holder, on_range)
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
        if _build_generations(store, holder, after_range) and not generations.are_newer():
            outbox.acknowledge(truncated, seen_in)
        generations.point(store)
        generations.drop_retired(store, on_batch=partial(after_range, rows=0))
    finally:
        store.give_back(LEASE, holder)
    return True


def _help(store: Store, holder: str, on_range: OnRange) -> None:
    """What another process builds is filled by this one too, until there is no more to be handed out."""
    for generation in _unbuilt():
        with suppress(RebuildCancelled):
            filling.take_part(store, generation, holder, partial(on_range, generation.plan.name))


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
    # The newest of each read model, of which there may be one being built.
    newest = {each.plan.name: each for each in current if each.state not in PREVIOUS}
    for generation in newest.values():
        tables = {change.source for change in truncated if not builds.is_registered_after(generation, change.xid, now)}
        if tables & set(generation.plan.routes):
            generations.replace(generation)
    return truncated, now


def _fill_buckets(store: Store, on_range: OnRange) -> None:
    with snapshot.reading() as (cursor, since):
        found = buckets.read(cursor)
        filled = [each for each in generations.current(cursor) if each.state != GenerationState.BUILDING]
    empty = {number: marker for number, marker in enumerate(found.markers) if number not in found.filled}
    if empty and generations.are_newer(unbuilt=False):
        log.warning("buckets_left_to_newer_code", buckets=len(empty))
    elif empty:
        for generation in filled:
            filling.fill(store, generation, empty, partial(on_range, generation.plan.name))
        with transaction.atomic(), connection.cursor() as cursor:
            heartbeat.note_filled(cursor, since)
            buckets.mark_filled(cursor, empty)


def _build_generations(store: Store, holder: str, on_range: OnRange) -> bool:
    """Every new generation is live; False: one is not to be switched to yet, or was given up."""
    built = [_is_built(store, generation, holder, on_range) for generation in _unbuilt()]
    return all(built)


def _unbuilt() -> list[Generation]:
    with snapshot.reading() as (cursor, _):
        return [each for each in generations.current(cursor) if each.state == GenerationState.BUILDING]


def _is_built(store: Store, generation: Generation, holder: str, on_range: OnRange) -> bool:
    try:
        return _build(store, generation, holder, on_range)
    except RebuildCancelled:
        log.info("rebuild_ended", read_model=generation.plan.name, generation=generation.number)
        return False


def _is_right(store: Store, generation: Generation, on_range: OnRange) -> bool:
    def keep(rows: int) -> None:
        builds.require_wanted(generation)
        on_range(generation.plan.name, 0)

    return not drift.audit(store, generation, is_repairing=True, on_range=keep).total


def _build(store: Store, generation: Generation, holder: str, on_range: OnRange) -> bool:
    """The generation is filled, from where an earlier attempt was, and verified, and live.

    False: something of before is pending, or it is not what a fresh build gives; what differed is mended then.
    """
    with snapshot.reading() as (cursor, since):
        markers = buckets.read(cursor).markers
    builds.resumed(generation, f"{since.store_id} {blake2b(repr([*markers]).encode(), digest_size=8).hexdigest()}")
    while not builds.is_filled(generation):
        filling.take_part(store, generation, holder, partial(on_range, generation.plan.name))
        _wait_for_others(generation, on_range)
    if not switching.is_settled(generation) or not _is_right(store, generation, on_range):
        return False
    with transaction.atomic(), connection.cursor() as cursor:
        heartbeat.note_filled(cursor, since)
        if buckets.read(cursor).markers != markers:
            raise StoreLost("a bucket was lost while a generation was built")
        builds.require_wanted(generation)
        switching.switch_to_built(generation)
    generations.point(store)
    return True


def _wait_for_others(generation: Generation, on_range: OnRange) -> None:
    """Some time has passed, if others have ranges in hand: those of a killed one are to be had after a while."""
    if not builds.is_filled(generation):
        time.sleep(LOOK_SECONDS)
        on_range(generation.plan.name, 0)
