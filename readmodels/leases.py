"""The leases of shards: who projects their changes, with the record that an attempt at them began.

Both are one row of PostgreSQL's for a shard, so they are taken in the trip that takes the snapshot and given back in
one. A lease only saves double work. Neither need outlive a crash of PostgreSQL, only that of the projector: so nobody
waits for the disk. Leases may overlap, where one ran out; so rows are locked in the order of their numbers, or
projectors would wait for one another.
"""

from dataclasses import dataclass

from django.db import connection

from readmodels import outbox, together
from readmodels.conf import conf
from readmodels.errors import ReadModelError
from readmodels.outbox import Lane
from readmodels.together import Rows, Statement

IS_FREE = "s.held_until IS NULL OR s.held_until <= clock_timestamp()"
RUNS_OUT = "clock_timestamp() + %s * interval '1 s'"
HELD = "(SELECT number FROM readmodels_shard WHERE holder = %s ORDER BY number FOR UPDATE) held"
# Nobody waits for the disk in the transaction that this is read in.
UNSYNCED = "set_config('synchronous_commit', 'off', true)"


class NothingTaken(ReadModelError):
    """No shard of the lane has work, but for those that others are at."""


class DiedBefore(Exception):
    """So many attempts at one of the shards, the last of them one's own, were begun and none was ended."""

    def __init__(self, attempts: int) -> None:
        super().__init__(attempts)
        self.attempts = attempts


@dataclass(frozen=True)
class Lease:
    """Of those of the lane's shards that have work, or of one in `share` of them."""

    lane: Lane
    holder: str
    share: int = 1


def taking(lease: Lease) -> Statement:
    """The statement that takes the lease, of what is free; its rows are for `require_first`.

    Where not all shards are wanted, it is those with the oldest changes.
    """
    return together.kept(
        f"WITH working AS ({outbox.with_work(lease.lane)}),"
        " ranked AS (SELECT shard, row_number() OVER (ORDER BY oldest) AS rank, count(*) OVER () AS all FROM working)"
        " INSERT INTO readmodels_shard AS s (number, attempts, holder, held_until)"
        f" SELECT shard, 1, %s, {RUNS_OUT} FROM ranked"
        " WHERE rank <= ceil(ranked.all / %s::numeric) ORDER BY shard"
        " ON CONFLICT (number) DO UPDATE"
        " SET attempts = s.attempts + 1, holder = excluded.holder, held_until = excluded.held_until"
        f" WHERE {IS_FREE}"
        f" RETURNING attempts, pg_relation_size('readmodels_change'), {UNSYNCED}",
        lease.holder,
        conf().lease_seconds,
        lease.share,
    )


def require_first(taken: Rows) -> int:
    """The size of the outbox (bytes), given what `taking` took, if anything. Raises DiedBefore."""
    attempts = max(attempts for attempts, *_ in taken)
    if attempts > 1:
        raise DiedBefore(attempts)
    return int(taken[0][1])


def keep(lease: Lease) -> None:
    """An attempt of many steps goes on: it is begun only once, and its lease runs out so long after the last step.

    Raises NothingTaken where it ran out before, and others have all that was taken.
    """
    keeping = together.kept(
        f"UPDATE readmodels_shard s SET held_until = {RUNS_OUT} FROM {HELD}"
        f" WHERE s.number = held.number RETURNING {UNSYNCED}",
        conf().lease_seconds,
        lease.holder,
    )
    with connection.cursor() as cursor:
        [kept] = together.ask(cursor, [keeping])
    if not kept:
        raise NothingTaken


def end(lease: Lease) -> None:
    """The attempt has ended, well or with an error that was noticed, and what was taken is free."""
    _end(lease)


def end_and_look(lease: Lease) -> bool:
    """The same; returns whether the lane has work: what came meanwhile found its shard taken."""
    [left] = _end(lease, outbox.asking_with_work(lease.lane))
    return bool(left)


def _end(lease: Lease, *beside: Statement) -> list[Rows]:
    ending = together.kept(
        f"UPDATE readmodels_shard s SET attempts = 0, holder = NULL, held_until = NULL FROM {HELD}"
        f" WHERE s.number = held.number RETURNING {UNSYNCED}",
        lease.holder,
    )
    with connection.cursor() as cursor:
        return together.ask(cursor, [ending, *beside])[1:]
