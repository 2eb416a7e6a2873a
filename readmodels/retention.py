"""What is kept no longer: old acknowledged changes, and tombstones of rows in partitions that nobody writes to.

Each sweep does a small part, chosen by the clock, so that all comes round once a minute and none takes long.
"""

import time
from dataclasses import dataclass

import structlog
from django.db import OperationalError, connection

from readmodels import acknowledged, keys
from readmodels.conf import conf
from readmodels.store import Store

log = structlog.get_logger()

ROUND = 64  # sweeps until all has been looked at
TOMBSTONES = 1000  # of a partition at a time


@dataclass(frozen=True)
class LongTransaction:
    """Who keeps the outbox's dead rows from being vacuumed, and snapshots from showing what came after."""

    seconds: float
    holder: str


def expire(store: Store, tick: int | None = None) -> None:
    """The part that is due has nothing too old; `tick` counts sweeps (default: seconds)."""
    turn = (int(time.time()) if tick is None else tick) % ROUND
    try:
        acknowledged.drop_old(turn, conf().acknowledged_hours)
    except OperationalError as error:  # somebody reads the table; the next round tries again
        log.info("acknowledged_not_dropped", reason=str(error).strip())
    store.expire_rows(range(turn, keys.BUCKETS, ROUND), TOMBSTONES)
    if turn == 0:
        tell_of_long_transaction()


def tell_of_long_transaction() -> None:
    """The log says who has a transaction open for too long, if anybody has."""
    longest = longest_transaction()
    if longest and longest.seconds > conf().long_transaction_seconds:
        log.error("long_transaction", seconds=round(longest.seconds), holder=longest.holder)


def longest_transaction() -> LongTransaction | None:
    """The oldest open or prepared transaction of this database's server that holds the horizon; None: there is none.

    Of other roles' sessions PostgreSQL tells only members of pg_read_all_stats.
    """
    with connection.cursor() as cursor:
        cursor.execute(HOLDERS)
        row = cursor.fetchone()
    return LongTransaction(float(row[0]), row[1]) if row else None


HOLDERS = """
    SELECT extract(epoch FROM clock_timestamp() - since), holder FROM (
        SELECT xact_start AS since, format('pid %s (%s, %s, %s)', pid, usename, application_name, state) AS holder
        FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
              AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)
        UNION ALL
        SELECT prepared, format('prepared transaction %L', gid) FROM pg_prepared_xacts
    ) open WHERE since IS NOT NULL ORDER BY since LIMIT 1"""
