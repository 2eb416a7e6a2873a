"""Step 5: the projector. One snapshot: changes -> what they touch -> documents -> store -> acknowledge.

The order of the steps is the point (docs/decisions/0001-snapshot-clock.md): the rows that a snapshot shows are exactly
changes that the documents built in it contain; after the guarded write the store holds at least that version; only then
are those rows deleted. So duplicates, reordering, zombies and crashes between any two steps are harmless.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from uuid import uuid4

import structlog
from django.db import OperationalError, close_old_connections, transaction

from readmodels import (
    buckets,
    building,
    consistency,
    deadletters,
    fan_out,
    faults,
    generations,
    heartbeat,
    isolation,
    leases,
    outbox,
    snapshot,
    together,
)
from readmodels.building import Write
from readmodels.conf import conf
from readmodels.errors import EpochMoved, ReadModelError, StoreMoved
from readmodels.fan_out import Chosen
from readmodels.generations import Generation
from readmodels.leases import Lease
from readmodels.outbox import Change, Lane
from readmodels.snapshot import Snapshot
from readmodels.store import Store
from readmodels.together import Rows, Statement
from readmodels.values import Attempt, bucket_of

log = structlog.get_logger()

# A drain gives way to the next task after this long: with a backlog, too, each sweep gets its turn and says how far the
# read models are. Of the bulk lane's workers nobody else wants anything.
NOTHING: Rows = []
DRAIN_SECONDS = {Lane.LIVE: 1.0, Lane.BULK: 60.0, Lane.NEWER: 1.0}


@dataclass(frozen=True)
class Batch:
    """What one snapshot showed, and what is to be written of it."""

    attempt: Attempt
    snapshot: Snapshot
    changes: list[Change]
    wide: dict[int, set[str]]  # what of a change, by its id, is left to the bulk lane
    writes: list[Write]
    filled: frozenset[int]
    made: list[tuple[str, int, str]]  # (read model, generation, root key) of the writes, where anything is parked
    is_full: bool  # there may be more than this batch took
    suspect: int | None  # the oldest change that is due and was tried before, by id; it is to be tried alone
    progress: str | None

    @property
    def fan_outs(self) -> list[Change]:
        """The changes that are to be replaced by one for each document."""
        return [change for change in self.changes if change.is_fan_out]


def drain(
    store: Store,
    lane: Lane = Lane.LIVE,
    ask_for_help: Callable[[], None] = lambda: None,
    may_go_on: Callable[[], bool] = lambda: True,
) -> int:
    """Every change pending in the lane is projected, or another projector is at it, or the time is over.

    Returns the number of changes. `may_go_on` is asked before each batch.

    Takes the leases of all shards that have work; with a backlog it leaves half of them to others and asks for help.
    After giving its leases back it looks again: what came meanwhile found the shards taken.
    """
    projected, is_full, has_work = 0, False, True
    deadline = time.monotonic() + DRAIN_SECONDS[lane]
    with suppress(leases.NothingTaken):
        while has_work and may_go_on() and time.monotonic() < deadline:
            if is_full:
                ask_for_help()
            count, is_full, has_work = _project_under(store, Lease(lane, uuid4().hex, share=2 if is_full else 1))
            projected += count
    return projected


def _project_under(store: Store, lease: Lease) -> tuple[int, bool, bool]:
    """A batch of the lease's changes is projected; where one is at fault, what is sound of the batch is.

    Returns how many changes were taken, whether there were more than a batch, and whether the lane may have work now.
    """
    try:
        count, is_full = _project_or_isolate(store, lease)
    except leases.NothingTaken:
        raise
    except BaseException:
        leases.end(lease)
        raise
    if is_full:  # the next batch looks as it takes its lease
        leases.end(lease)
        return count, is_full, True
    return count, is_full, leases.end_and_look(lease)


def _project_or_isolate(store: Store, lease: Lease) -> tuple[int, bool]:
    limit = conf().batch_rows
    try:
        batch = project(store, lease.lane.value, lease=lease)
        # However many others keep coming, and however many were tried before: a batch of those, one of these.
        if batch.suspect is not None:
            _project_alone(store, lease.lane.value, batch.suspect)
        return len(batch.changes), batch.is_full
    except leases.DiedBefore as died:
        limit = isolation.limit_after(died.attempts)
    except Exception as error:
        _require_at_fault(error)
    return _isolate(store, lease, limit), True


def _isolate(store: Store, lease: Lease, limit: int) -> int:
    """Changes are projected, so many together, until the one that is at fault stands alone; returns how many.

    All of it may take longer than a lease, which is kept: if whoever lives were taken for dead, the next one would take
    fewer changes still, and so on.
    """
    shards = lease.lane.value

    def alone(change: int) -> None:
        leases.keep(lease)
        _project_alone(store, shards, change)

    def together(some: Sequence[int]) -> None:
        leases.keep(lease)
        project(store, shards, only=some)

    if limit == 1:  # projectors died: one by one, each counted, until the one is found that they died of
        # It is among those that the last one took; going through a whole batch like this takes seconds.
        for change in outbox.due(shards, isolation.AFTER_ONE_DEATH, lease.holder):
            alone(change)
        return limit
    if limit == isolation.AFTER_ONE_DEATH:
        # Each part is acknowledged before the next: what the next death is of stands among the oldest.
        due = outbox.due(shards, conf().batch_rows, lease.holder)
        try:
            isolation.in_parts(due, together, alone)
        except Exception as error:
            _require_at_fault(error)
        else:
            return len(due)
    isolation.split(outbox.due(shards, limit, lease.holder), together, alone)
    return limit


def _require_at_fault(error: Exception) -> None:
    """Raises the error unless some document is at fault, which is to be found."""
    if isolation.is_transient(error):
        raise error
    log.warning("batch_split", reason=repr(error))


def _project_alone(store: Store, shards: Sequence[int], id: int) -> None:
    """The change is projected as far as it can be; what fails of it waits for its next attempt, or is parked."""
    attempts = isolation.count_attempt(id)
    if not attempts:
        return
    with snapshot.reading() as (cursor, now):
        found = outbox.named(cursor, [id])
        current = generations.current(cursor)
    if not found:
        return
    change = found[0]
    if change.is_fan_out:
        project(store, shards, only=[id])
        return

    def attempt(generation: Generation, wide: dict[int, set[str]]) -> None:
        write(store, read(store, shards, only=[id], of=generation, wide=wide))

    outcome = isolation.attempt_each(change, current, attempts, attempt)
    if not outcome.failures:
        outbox.acknowledge([change], now, outcome.left)
    elif attempts >= isolation.PARK_AFTER:
        isolation.park(outcome, attempts, now)


def project(
    store: Store,
    shards: Sequence[int],
    only: Sequence[int] | None = None,
    *,
    lease: Lease | None = None,
) -> Batch:
    """One batch of the shards' changes, or of these by id, is in the store and acknowledged; raises what kept it.

    A lease is taken first, and the shards are those of it.
    """
    try:
        batch = read(store, shards, only, lease=lease)
        faults.reached("after_snapshot")
        write(store, batch)
        faults.reached("after_write")
        acknowledge(batch)
        faults.reached("after_acknowledge")
        fan_out.expand(batch.fan_outs, batch.snapshot.epoch)
        publish_progress(store, batch)
        faults.reached("after_progress")
    except EpochMoved:
        snapshot.raise_epoch(store)
        raise
    except StoreMoved:
        heartbeat.beat(store)
        raise
    if batch.changes:
        log.info("projected", changes=len(batch.changes), writes=len(batch.writes), version=batch.snapshot.version)
    return batch


def read(
    store: Store,
    shards: Sequence[int],
    only: Sequence[int] | None = None,
    of: Generation | None = None,
    wide: dict[int, set[str]] | None = None,
    *,
    lease: Lease | None = None,
) -> Batch:
    """Steps 1 and 2: in one snapshot, the changes and all that they touch, as built; no transaction stays open.

    `only` takes the changes of these ids, `of` builds this generation alone, `wide` is what is left to the bulk lane.
    A lease is taken first, and the shards are those of it. Raises NothingTaken, DiedBefore.
    """
    limit = conf().batch_rows
    started_ms = store.begun_ms()
    choosing = outbox.asking_visible(shards, limit, lease.holder if lease else None)
    # With a backlog the batch is full, most likely, and says nothing of what is left.
    is_counted = lease is None or lease.share == 1
    asking = [choosing if only is None else outbox.asking_named(only), _asking_state(limit + 1 if is_counted else None)]
    before = [leases.taking(lease)] if lease else []
    with snapshot.reading_at_once(asking, before) as (cursor, now, [*taken, changes, [state]]):
        for rows in filter(None, taken):
            together.plan_for(cursor, leases.require_first(rows))
            faults.reached("after_leases")
        registered, markers, *rest = state
        unapplied = consistency.Unapplied(*rest)
        visible = outbox.changes_in(changes)
        is_full = len(visible) == limit
        suspects = [change for change in visible if change.attempts] if only is None else []
        if suspects:
            visible = [change for change in visible if not change.attempts]
            if not visible:
                raise isolation.Suspect
        current = generations.current_in(cursor, registered) if of is None else [of]
        known = buckets.parsed(markers)
        if wide is None:
            chosen = fan_out.choose(cursor, current, visible, conf().fan_out_documents)
        else:
            chosen = Chosen(visible, wide)
        is_full = is_full or len(chosen.changes) < len(visible)
        # What the bulk lane has done, the next sweep says.
        is_told = not is_full and not chosen.wide and of is None and set(shards) <= set(Lane.LIVE.value)
        is_told = is_told and taken != [NOTHING]
        is_more = is_told and not unapplied.is_all(chosen.changes)
        beside = consistency.asking_progress(chosen.changes) if is_more else []
        by_generation, found = building.writes_for_each(cursor, current, chosen.changes, chosen.wide, beside)
        made = building.made(current, by_generation) if unapplied.is_any_parked else []
        left = found if is_more else consistency.NOTHING_UNAPPLIED
        progress = consistency.progress_in(cursor, now, current, left) if is_told else None
    # Not before: a rollback would have psycopg forget every statement that it has prepared.
    if taken == [NOTHING]:
        raise leases.NothingTaken
    attempt = consistency.attempt(started_ms, now, known.markers)
    writes = [write for writes in by_generation for write in writes]
    suspect = suspects[0].id if suspects else None
    return Batch(attempt, now, chosen.changes, chosen.wide, writes, known.filled, made, is_full, suspect, progress)


@cache
def _asking_state(limit: int | None) -> Statement:
    """In one row: generations, buckets, and what else is not applied; each statement takes its time."""
    return together.kept(f"SELECT ({generations.CURRENT}), ({buckets.ALL}), {consistency.unapplied(limit)}")


def write(store: Store, batch: Batch) -> None:
    """Step 3: each write is stored, or something newer is."""
    for start in range(0, len(batch.writes), conf().batch_rows):
        store.apply(batch.attempt, batch.writes[start : start + conf().batch_rows])
        faults.reached("amid_writes")


def acknowledge(batch: Batch) -> None:
    """Step 4: exactly the changes that the snapshot showed are gone; what is wide of them goes on in the bulk lane."""
    done = [change for change in batch.changes if not change.is_fan_out]
    with transaction.atomic():
        outbox.acknowledge(done, batch.snapshot, batch.wide)
        deadletters.resolve(batch.made)


def publish_progress(store: Store, batch: Batch) -> None:
    """Where the batch took all there was, the buckets that it wrote say so at once; the sweep tells the others."""
    if batch.progress is None:
        return
    written = {bucket_of(write) for write in batch.writes} | {0}
    attempt = batch.attempt
    store.put_progress(written & batch.filled, attempt.markers, attempt.version, attempt.store_id, batch.progress)


def settle(
    store: Store,
    lane: Lane = Lane.LIVE,
    ask_for_help: Callable[[], None] = lambda: None,
    may_go_on: Callable[[], bool] = lambda: True,
    attempts: int = 3,
) -> int:
    """As `drain`, tried again where the epoch moved or the attempt was refused; returns the number of changes."""
    for left in reversed(range(attempts)):
        try:
            return drain(store, lane, ask_for_help, may_go_on)
        except (ReadModelError, OperationalError) as error:  # the latter: a deadlock, or a connection that broke
            if not left:
                raise
            log.warning("attempt_thrown_away", reason=str(error))
            close_old_connections()  # one that broke is opened anew
    return 0
