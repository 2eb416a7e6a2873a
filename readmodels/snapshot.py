"""Step 5a: the snapshot clock. A snapshot of PostgreSQL is its own version number; the epoch tells its lives apart.

N = xmax - 1 - (transactions in progress) grows with each transaction that changes what a snapshot shows (PostgreSQL's
src/backend/access/transam/README, "Interlocking Transaction Begin, Transaction End, and Snapshots"). A crash may take N
back: the server's fingerprint and a row in an UNLOGGED table show that, and the epoch goes up.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import DatabaseError, Error, connection, transaction
from django.db.backends.utils import CursorWrapper

from readmodels import together
from readmodels.errors import EpochMoved, NotPrimary, StoreMoved
from readmodels.models import Clock, Heartbeat
from readmodels.store import Store
from readmodels.together import Rows, Statement

log = structlog.get_logger()

EPOCH_WIDTH, NUMBER_WIDTH = 6, 20

# System identifier, timeline and start time. The control file lags behind a promotion, the WAL file's name does not.
SERVER_SQL = """(SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
    left(pg_walfile_name(pg_current_wal_lsn()), 8), extract(epoch FROM pg_postmaster_start_time())))"""

# Whether the server is the one that the epoch (of the clock's row c) was set on, and has not crashed since.
IS_SAME_LIFE = f"""(c.server = {SERVER_SQL}
    AND EXISTS (SELECT FROM readmodels_witness w WHERE w.epoch = c.epoch))"""

CLOCK_SQL = f"""
    SELECT c.epoch, c.timeline_epoch, {IS_SAME_LIFE},
           s.now::text,
           pg_snapshot_xmax(s.now)::text::bigint - 1 - (SELECT count(*) FROM pg_snapshot_xip(s.now)),
           statement_timestamp(), h.store_id, h.replays
    FROM readmodels_clock c, readmodels_heartbeat h, (SELECT pg_current_snapshot() AS now) s"""

ASKING_CLOCK = together.kept(CLOCK_SQL)
READING = "ISOLATION LEVEL REPEATABLE READ, READ ONLY"


@dataclass(frozen=True)
class Snapshot:
    """What one snapshot of the primary is called: its version orders it among all others."""

    epoch: int
    timeline_epoch: int
    number: int
    text: str  # pg_snapshot: xmin:xmax:xip,...
    at: datetime
    store_id: str  # the Redis that is trusted, '' for none
    replays: Sequence[int] = ()  # transactions that made changes which a Redis had lost pending again

    @property
    def version(self) -> str:
        """The version as text of fixed width, so that Lua compares it exactly (its numbers lose 2^53 + 1)."""
        return f"{self.epoch:0{EPOCH_WIDTH}d}{self.number:0{NUMBER_WIDTH}d}"


def is_visible(xid: int, snapshot: str) -> bool:
    """Whether the transaction had ended in the snapshot (`pg_visible_in_snapshot`, for a reader without a database)."""
    _, xmax, running = snapshot.split(":")
    return xid < int(xmax) and str(xid) not in running.split(",")


@contextmanager
def reading() -> Iterator[tuple[CursorWrapper, Snapshot]]:
    """One read-only snapshot of the primary, in a transaction that owns no transaction id; ends at the block's end.

    Raises NotPrimary on a standby, EpochMoved when PostgreSQL may have gone back: raise the epoch and begin anew.
    """
    with reading_at_once([]) as (cursor, now, _):
        yield cursor, now


@contextmanager
def reading_at_once(
    statements: Sequence[Statement], before: Sequence[Statement] = ()
) -> Iterator[tuple[CursorWrapper, Snapshot, list[Rows]]]:
    """The same with the rows of these statements, which come in the trip that begins it.

    Those of `before`, whose rows come first, are a transaction of their own, committed before the snapshot is taken.
    """
    beginning = (
        [Statement("COMMIT"), Statement(f"BEGIN {READING}")] if before else [Statement(f"SET TRANSACTION {READING}")]
    )
    first = [*before, *beginning]
    is_begun = False
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            found = together.ask(cursor, [*first, ASKING_CLOCK, *statements])
            is_begun = True
            now, *rows = found[len(first) :]
            yield cursor, clock_in(now), [*found[: len(before)], *rows]
    except DatabaseError:
        # A standby refuses to read the clock; to ask before whether it is one would be a trip for each snapshot.
        if not is_begun and _is_standby():
            raise NotPrimary("the database is a standby; point DATABASE_URL at the primary") from None
        raise


def start_clock() -> None:
    """Clock and heartbeat have their rows; the epoch is raised when it is first read."""
    Heartbeat.objects.get_or_create(id=1)
    Clock.objects.get_or_create(id=1, defaults={"epoch": 0, "server": "", "timeline_epoch": 0})


def require_epoch(cursor: CursorWrapper, epoch: int) -> Snapshot:
    """The clock as it is now; raises EpochMoved unless the epoch is the given one on the server that it was set on."""
    now = clock(cursor)
    _require(now, epoch)
    return now


def require_same(cursor: CursorWrapper, then: Snapshot) -> None:
    """Raises EpochMoved where the epoch has risen since, StoreMoved where another Redis is trusted."""
    require_same_of(clock(cursor), then)


def require_same_of(now: Snapshot, then: Snapshot) -> None:
    """The same where the clock has been read."""
    _require(now, then.epoch)
    if now.store_id != then.store_id:
        raise StoreMoved("the writes went to a Redis that is not trusted any more")


def raise_epoch(store: Store) -> int:
    """The epoch is one more than the greatest of PostgreSQL's and Redis's, unless another process was first.

    Also where only Redis is ahead: what is stored there would refuse every write of the lower epoch for ever.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT epoch, timeline_epoch, server, {SERVER_SQL} FROM readmodels_clock FOR UPDATE")
        epoch, timeline_epoch, server, server_now = cursor.fetchone() or (0, 0, "", "")
        stored = store.epoch()
        if server == server_now and _has_witness(cursor, epoch) and stored <= epoch:
            return int(epoch)
        is_same_timeline = server.split("/")[:2] == server_now.split("/")[:2]
        raised = max(epoch, stored) + 1
        # Redis learns of the epoch before anything is written in it: a number too high does no harm.
        store.raise_epoch(raised)
        cursor.execute(
            "UPDATE readmodels_clock SET epoch = %s, server = %s, timeline_epoch = %s",
            [raised, server_now, timeline_epoch if is_same_timeline else raised],
        )
        cursor.execute("DELETE FROM readmodels_witness")
        cursor.execute("INSERT INTO readmodels_witness (epoch) VALUES (%s)", [raised])
        if not is_same_timeline:
            # Documents may show transactions that this timeline never had: as after a TRUNCATE of every root, all are
            # built anew.
            cursor.execute(
                "INSERT INTO readmodels_change (source, xid, shard) SELECT DISTINCT plan->>'root_table',"
                " pg_current_xact_id()::text::bigint, 0 FROM readmodels_generation WHERE state = 'live'"
            )
    log.warning("epoch_raised", epoch=raised, is_same_timeline=is_same_timeline)
    return int(raised)


def clock(cursor: CursorWrapper) -> Snapshot:
    """The clock as the cursor's snapshot shows it. Raises EpochMoved."""
    [rows] = together.ask(cursor, [ASKING_CLOCK])
    return clock_in(rows)


def clock_in(rows: Rows) -> Snapshot:
    """The clock that ASKING_CLOCK found. Raises EpochMoved."""
    row = rows[0] if rows else None
    if row is None or not row[2]:
        raise EpochMoved(f"PostgreSQL was restarted, recovered or replaced since epoch {row[0] if row else 0}")
    epoch, timeline_epoch, _, text, number, at, store_id, replays = row
    return Snapshot(epoch, timeline_epoch, number, text, at, store_id, replays)


def _require(now: Snapshot, epoch: int) -> None:
    if now.epoch != epoch:
        raise EpochMoved(f"no longer in epoch {epoch}")


def _is_standby() -> bool:
    with suppress(Error), connection.cursor() as cursor:
        cursor.execute("SELECT pg_is_in_recovery()")
        return bool(cursor.fetchone() == (True,))
    return False


def _has_witness(cursor: CursorWrapper, epoch: int) -> bool:
    cursor.execute("SELECT EXISTS (SELECT FROM readmodels_witness WHERE epoch = %s)", [epoch])
    return bool(cursor.fetchone() == (True,))
