"""Step 5: the projector. One snapshot: changes -> what they touch -> documents -> store -> acknowledge.

The order of the steps is the point (docs/decisions/0001-snapshot-clock.md): the rows that a snapshot shows are exactly
changes that the documents built in it contain; after the guarded write the store holds at least that version; only then
are those rows deleted. So duplicates, reordering, zombies and crashes between any two steps are harmless.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import uuid4

import structlog
from django.db import OperationalError

from readmodels import buckets, building, consistency, fan_out, faults, generations, outbox, snapshot
from readmodels.building import Write
from readmodels.conf import conf
from readmodels.errors import EpochMoved, ReadModelError
from readmodels.outbox import Change, Lane
from readmodels.snapshot import Snapshot
from readmodels.store import Attempt, Store, bucket_of

log = structlog.get_logger()

# A drain gives way to the next task after this many batches, so that no task runs for ever.
MAX_BATCHES = 200


@dataclass(frozen=True)
class Batch:
    """What one snapshot showed, and what is to be written of it."""

    attempt: Attempt
    snapshot: Snapshot
    changes: list[Change]
    wide: dict[int, set[str]]  # what of a change, by its id, is left to the bulk lane
    writes: list[Write]
    filled: frozenset[int]
    shards: Sequence[int]
    made: list[tuple[str, int, str]]  # (read model, generation, root key) that may have been parked
    is_full: bool  # there may be more than this batch took
    progress: str | None

    @property
    def fan_outs(self) -> list[Change]:
        """The changes that are to be replaced by one for each document."""
        return [change for change in self.changes if change.is_fan_out]


def drain(store: Store, lane: Lane = Lane.LIVE, ask_for_help: Callable[[], None] = lambda: None) -> int:
    """Every change pending in the lane is projected, or another projector is at it; returns the number of changes.

    Takes the leases of all shards that have work; with a backlog it leaves half of them to others and asks for help.
    After giving its leases back it looks again: what came meanwhile found the shards taken.
    """
    projected, is_full = 0, False
    for _ in range(MAX_BATCHES):
        shards = outbox.shards_with_work(lane)
        if is_full:
            shards = shards[: (len(shards) + 1) // 2]
            ask_for_help()
        if not shards:
            break
        holder = uuid4().hex
        held = store.take_leases([f"shard:{shard}" for shard in shards], holder, conf().lease_seconds)
        if not held:
            break
        faults.reached("after_leases")
        try:
            batch = project(store, [int(name.removeprefix("shard:")) for name in held])
        finally:
            store.give_back(held, holder)
        projected, is_full = projected + len(batch.changes), batch.is_full
    return projected


def project(store: Store, shards: Sequence[int]) -> Batch:
    """One batch of the shards' changes is in the store and acknowledged. Raises what kept it from being so.

    Where a document is at fault, the batch is split: what is sound of it is projected, and a batch of nothing returned.
    """
    limit = isolation.begin(shards)
    try:
        return _project(store, Work(shards, limit))
    except EpochMoved:
        snapshot.raise_epoch(store)
        raise
    except Exception as error:
        if isolation.is_transient(error):
            raise
        log.warning("batch_split", reason=str(error))
        return _split(store, shards, limit)
    finally:
        isolation.end(shards)


def _project(store: Store, work: Work) -> Batch:
    batch = read(store, work)
    faults.reached("after_snapshot")
    write(store, batch)
    faults.reached("after_write")
    acknowledge(batch)
    faults.reached("after_acknowledge")
    fan_out.expand(batch.fan_outs, batch.snapshot.epoch)
    publish_progress(store, batch)
    faults.reached("after_progress")
    if batch.changes:
        log.info("projected", changes=len(batch.changes), writes=len(batch.writes), version=batch.snapshot.version)
    return batch

def write(store: Store, batch: Batch) -> None:
    """Step 3: each write is stored, or something newer is."""
    for start in range(0, len(batch.writes), conf().batch_rows):
        store.apply(batch.attempt, batch.writes[start : start + conf().batch_rows])
        faults.reached("amid_writes")


def acknowledge(batch: Batch) -> None:
    """Step 4: exactly the changes that the snapshot showed are gone; what is wide of them goes on in the bulk lane."""
    done = [change for change in batch.changes if not change.is_fan_out]
    outbox.acknowledge(done, batch.snapshot.epoch, batch.wide)


def publish_progress(store: Store, batch: Batch) -> None:
    """Where the batch took all there was, the buckets that it wrote say so at once; the sweep tells the others."""
    if batch.progress is None:
        return
    written = {bucket_of(write) for write in batch.writes} | {0}
    store.put_progress(written & batch.filled, batch.attempt.markers, batch.attempt.version, batch.progress)


def settle(
    store: Store, lane: Lane = Lane.LIVE, ask_for_help: Callable[[], None] = lambda: None, attempts: int = 3
) -> int:
    """As `drain`, tried again where the epoch moved or the attempt was refused; returns the number of changes."""
    for left in reversed(range(attempts)):
        try:
            return drain(store, lane, ask_for_help)
        except (ReadModelError, OperationalError) as error:  # the latter: a deadlock, or a connection that broke
            if not left:
                raise
            log.warning("attempt_thrown_away", reason=str(error))
    return 0
