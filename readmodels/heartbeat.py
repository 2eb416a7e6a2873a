"""Notices a Redis that is not what it was: restarted or failed over with an older copy, emptied, or evicting.

Each second the sweep writes a heartbeat there: a count that PostgreSQL keeps too, and a snapshot taken before it is
written. Where the run of the server or the count is another, what was written to Redis since that snapshot may be gone:
the changes acknowledged since are projected again, or, where that is not enough, everything is built anew. Until a run
of Redis is trusted, nothing is acknowledged that went there and no query is answered from it
(docs/decisions/0007-trusting-a-redis.md).
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from readmodels import acknowledged, buckets, consistency, eviction, keys, outbox, snapshot, together
from readmodels.conf import conf
from readmodels.consistency import Stamp
from readmodels.models import GenerationState
from readmodels.snapshot import Snapshot, is_visible
from readmodels.store import Store, StoreState

log = structlog.get_logger()


@dataclass(frozen=True)
class Beat:
    """A heartbeat as Redis holds it."""

    count: int
    stamp: Stamp

    def shows(self, epoch: int, xid: int) -> bool:
        """Whether its snapshot shows a transaction of this epoch."""
        return epoch < self.stamp.epoch or (epoch == self.stamp.epoch and is_visible(xid, self.stamp.snapshot))


@dataclass(frozen=True)
class Known:
    """What PostgreSQL knows of Redis and of its last heartbeat."""

    beats: int
    store_id: str
    evicted_keys: int
    replays: list[int]
    filled_epoch: int
    filled_xid: int

    def is_met_by(self, state: StoreState, beat: Beat | None) -> bool:
        """Whether Redis is what it was. One beat more is one that its writer did not live to note here."""
        return (
            state.store_id == self.store_id
            and state.evicted_keys == self.evicted_keys
            and beat is not None
            and beat.count in (self.beats, self.beats + 1)
        )


def beat(store: Store) -> None:
    """Redis is the one that is known, and says so; what it had lost meanwhile is pending again.

    Raises EpochMoved where PostgreSQL may have gone back, which is to be settled first.
    """
    with snapshot.reading_at_once([ASKING_KNOWN]) as (_, now, [[row]]):
        known = Known(*row)
    state = store.state()  # after what PostgreSQL knows: another's beat in between only adds to the count
    found = _parse(state.heartbeat)
    if state.eviction_policy != eviction.REQUIRED:
        _distrust(state.eviction_policy)
        return
    if not known.is_met_by(state, found):
        store.raise_epoch(now.epoch)
        _mend(state, found, now)
    elif found and found.count > known.beats:
        _note(found.count, state)  # its writer did not live to
    count = max(known.beats, found.count if found else 0) + 1
    if store.put_heartbeat(state.heartbeat, f"{count} ".encode() + consistency.header(now)):
        _note(count, state)


def note_filled(cursor: CursorWrapper, since: Snapshot) -> None:
    """The transaction at hand marks something as filled, and a Redis that goes back to before is filled again.

    Raises EpochMoved or StoreMoved unless all of it went to the Redis that was trusted then, and still is.
    """
    acknowledged.hold(cursor)
    snapshot.require_same(cursor, since)
    cursor.execute(
        "UPDATE readmodels_heartbeat SET filled_xid = pg_current_xact_id()::text::bigint, filled_epoch = %s",
        [since.epoch],
    )


def _known(cursor: CursorWrapper) -> Known:
    [[row]] = together.ask(cursor, [ASKING_KNOWN])
    return Known(*row)


ASKING_KNOWN = together.kept(
    "SELECT beats, store_id, evicted_keys, replays, filled_epoch, filled_xid FROM readmodels_heartbeat"
)


def _parse(stored: bytes | None) -> Beat | None:
    """The heartbeat; None where there is none, or something that nobody here wrote."""
    count, _, line = (stored or b"").partition(b" ")
    try:
        return Beat(int(count), consistency.parse_stamp(line))
    except ValueError:
        return None


def _note(count: int, state: StoreState) -> None:
    """The count is on record, unless a later one is; finished replays are not looked for any more."""
    with connection.cursor() as cursor:
        known = _known(cursor)
        left = known.replays if known.replays and outbox.is_pending_of(cursor, known.replays) else []
        cursor.execute(
            "UPDATE readmodels_heartbeat SET beats = greatest(beats, %s), evicted_keys = %s, replays = %s::bigint[]"
            " WHERE replays = %s::bigint[] AND store_id = %s",
            [count, state.evicted_keys, left, known.replays, state.store_id],
        )


def _distrust(policy: str) -> None:
    """No Redis is trusted: this one may drop any document at any time, and nobody would know."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE readmodels_heartbeat SET store_id = '' WHERE store_id <> ''")
    log.error("redis_evicts", policy=policy, required=eviction.REQUIRED)


@transaction.atomic
def _mend(state: StoreState, found: Beat | None, now: Snapshot) -> None:
    """This Redis is trusted from now on: what it may lack is pending, or all its buckets are to be filled anew."""
    with connection.cursor() as cursor:
        # Nobody acknowledges meanwhile: who has kept an acknowledged row is waited for, who will finds this done.
        acknowledged.hold_alone(cursor)
        known = _known(cursor)
        if known.is_met_by(state, found):  # somebody was first
            return
        snapshot.require_epoch(cursor, now.epoch)
        reason = _why_all(cursor, known, state, found, now)
        rows = None
        if reason is None and found is not None:
            rows = acknowledged.replay(cursor, found.stamp.epoch, found.stamp.snapshot, conf().replay_rows)
        if rows is None:
            buckets.give_new_markers(range(keys.BUCKETS))
        cursor.execute(
            "UPDATE readmodels_heartbeat SET store_id = %s, evicted_keys = %s, replays = CASE WHEN %s THEN replays"
            " || pg_current_xact_id()::text::bigint ELSE replays END",
            [state.store_id, state.evicted_keys, bool(rows)],
        )
    if rows is None:
        log.warning("redis_built_anew", reason=reason or f"more than {conf().replay_rows} changes are to be replayed")
    else:
        log.warning("redis_went_back", replayed=rows)


def _why_all(cursor: CursorWrapper, known: Known, state: StoreState, found: Beat | None, now: Snapshot) -> str | None:
    """Why replaying is not enough; None: it is."""
    if not known.store_id or found is None:
        return "no Redis was trusted, or this one has no heartbeat"
    if state.evicted_keys > (known.evicted_keys if state.store_id == known.store_id else 0):
        return "Redis has evicted documents"
    if found.count > known.beats + 1:
        # A backup was restored: documents show transactions that this PostgreSQL never had.
        cursor.execute("UPDATE readmodels_clock SET timeline_epoch = epoch")
        return "PostgreSQL went back"
    if found.stamp.epoch < now.timeline_epoch:
        return "PostgreSQL was replaced since"
    if now.at - found.stamp.at > timedelta(hours=conf().acknowledged_hours):
        return "the heartbeat is older than what is kept"
    cursor.execute(
        "SELECT EXISTS (SELECT FROM readmodels_bucket WHERE NOT is_filled)"
        " OR EXISTS (SELECT FROM readmodels_generation WHERE state = %s)",
        [GenerationState.BUILDING],
    )
    if cursor.fetchone()[0] or not found.shows(known.filled_epoch, known.filled_xid):
        return "it was being filled"
    return None
