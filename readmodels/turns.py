"""A projector's turn at a lane: the leases of its shards that have work, each with the record that an attempt began.

Both are one row of PostgreSQL's for a shard, so they are taken in the trip that takes the snapshot and given back in
one. A lease only saves double work. Neither need outlive a crash of PostgreSQL, only that of the projector: so nobody
waits for the disk. Leases may overlap, where one ran out; so rows are locked in the order of their numbers, or
projectors would wait for one another.
"""

from dataclasses import dataclass

from django.db import connection

from readmodels import outbox, together
from readmodels.conf import conf
from readmodels.outbox import Lane
from readmodels.together import Rows, Statement

IS_FREE = "s.held_until IS NULL OR s.held_until <= clock_timestamp()"
# Nobody waits for the disk in the transaction that this is read in.
UNSYNCED = "set_config('synchronous_commit', 'off', true)"


class NothingTaken(Exception):
    """No shard of the lane has work, but for those that others are at."""


class DiedBefore(Exception):
    """So many attempts at one of the shards, the last of them one's own, were begun and none was ended."""

    def __init__(self, attempts: int) -> None:
        super().__init__(attempts)
        self.attempts = attempts


@dataclass(frozen=True)
class Turn:
    """Who is at work in the lane, and at one in `share` of the shards that have work."""

    lane: Lane
    holder: str
    share: int = 1


def taking(turn: Turn) -> Statement:
    """The statement that takes the turn; its rows are for `require_first`. The lane's oldest changes go first."""
    return together.kept(
        f"WITH working AS ({outbox.with_work(turn.lane)}),"
        " ranked AS (SELECT shard, row_number() OVER (ORDER BY oldest) AS rank, count(*) OVER () AS all FROM working)"
        " INSERT INTO readmodels_shard AS s (number, attempts, holder, held_until)"
        " SELECT shard, 1, %s, clock_timestamp() + %s * interval '1 s' FROM ranked"
        " WHERE rank <= ceil(ranked.all / %s::numeric) ORDER BY shard"
        " ON CONFLICT (number) DO UPDATE"
        " SET attempts = s.attempts + 1, holder = excluded.holder, held_until = excluded.held_until"
        f" WHERE {IS_FREE}"
        f" RETURNING attempts, pg_relation_size('readmodels_change'), {UNSYNCED}",
        turn.holder,
        conf().lease_seconds,
        turn.share,
    )


def require_first(taken: Rows) -> int:
    """The size of the outbox (bytes), given what `taking` took, if anything. Raises DiedBefore."""
    attempts = max(attempts for attempts, *_ in taken)
    if attempts > 1:
        raise DiedBefore(attempts)
    return int(taken[0][1])


def end(turn: Turn) -> bool:
    """The attempt has ended, well or with an error that was noticed, and what was taken is free.

    Returns whether the lane has work: what came meanwhile found its shard taken.
    """
    ending = together.kept(
        "UPDATE readmodels_shard s SET attempts = 0, holder = NULL, held_until = NULL FROM"
        " (SELECT number FROM readmodels_shard WHERE holder = %s ORDER BY number FOR UPDATE) held"
        f" WHERE s.number = held.number RETURNING {UNSYNCED}",
        turn.holder,
    )
    with connection.cursor() as cursor:
        _, left = together.ask(cursor, [ending, outbox.asking_with_work(turn.lane)])
    return bool(left)
