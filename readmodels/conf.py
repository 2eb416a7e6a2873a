"""The engine's settings: one typed object read from `settings.READMODELS`, checked at the start."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


@dataclass(frozen=True)
class Conf:
    """Every knob of the engine; a unit in each name."""

    redis_url: str
    broker_url: str
    # Where limits are kept: with the read models, unless a Redis 6.2 needs another user for what readers may write.
    limits_url: str = ""
    # Each batch has its leases, its snapshot and its plans, and of each bucket a call of a script: by 500 an order took
    # a quarter more CPU. A snapshot stays under 50 ms.
    batch_rows: int = 1000
    # A change that touches more documents by way of other tables goes to the bulk lane.
    fan_out_documents: int = 500
    # A lease only saves double work; this long after a projector died, another takes over what it held. So it adds to
    # the lag after a kill: with a sweep each second, changes wait 2 s, and for a new process. A batch takes 50 ms.
    lease_seconds: int = 1
    # The same for a repair, which can take this long over one step: emptying what a lost bucket held.
    repair_lease_seconds: int = 15
    # An attempt older than this is refused by the scripts; tombstones outlive it many times over.
    attempt_seconds: int = 60
    tombstone_seconds: int = 3600
    redis_timeout_seconds: float = 2.0
    # A request or a task gives up a statement of PostgreSQL after this; the slowest here takes less than a second.
    statement_seconds: float = 20.0
    # The longest that a query may wait for a consistency token, and what it waits when it names nothing.
    max_wait_seconds: float = 10.0
    default_wait_seconds: float = 2.0
    # How long a reader may use a switched-away generation; it is kept current far longer than this.
    pointer_seconds: float = 1.0
    # How long a generation that was switched away from is kept current, to go back to; each change is built twice.
    retired_seconds: int = 3600
    # The most that a rebuild takes, by all processes together: a pause follows each range where it would be quicker.
    rebuild_rows_per_second: int = 100_000
    # So many processes, of those that are asked for a repair, fill one generation at once; each keeps a core busy, and
    # a connection of PostgreSQL.
    rebuild_processes: int = 2
    # A range, which is what a process is given at a time, has so many batches, each a snapshot of its own. To hand one
    # out takes 5 ms, an eighth of what a batch takes.
    range_batches: int = 2
    # With more pending changes than this, progress lowers its horizon in place of naming their transactions.
    pending_changes: int = 10_000
    max_page_rows: int = 100
    # So long an acknowledged change is kept for a Redis that goes back; an older copy of it is built anew.
    acknowledged_hours: int = 24
    # With more changes than this to be projected again, everything is built anew: it is quicker, and bounded.
    replay_rows: int = 100_000
    # A transaction open for longer is told of: it keeps dead rows in the outbox, and tokens of others unsettled.
    long_transaction_seconds: int = 300
    # Rows that a step of the scrub compares with a fresh build: at a step a second, a million documents, looked at from
    # both sides, take three hours.
    scrub_rows: int = 200
    # Live updates. Where the process that serves them answers, for the API to lead clients to; '': nowhere.
    events_url: str = ""
    # How often what is followed is looked at: one round trip for all of it, and half of this before an update is sent.
    live_poll_seconds: float = 0.2
    live_heartbeat_seconds: float = 15.0
    # How often it is asked whether who follows still may.
    live_recheck_seconds: float = 3.0
    # A stream ends when nothing could be said of what it follows, or of who follows, for this long.
    live_patience_seconds: float = 10.0
    # A client that takes nothing for this long is dropped.
    live_send_seconds: float = 10.0
    # A stream ends after this; the client goes on with the next.
    live_stream_seconds: int = 3600
    # 1,000 idle streams took 33 MB more than the process alone, 123 MB.
    live_streams: int = 5000
    live_streams_per_principal: int = 20
    # Of a followed partition, so many changes are known, and this long after the last who followed it.
    live_recent_rows: int = 200
    live_recent_seconds: int = 3600
    # A write may wait for the broker twice, to connect and to be answered, and stays within a second all the same.
    broker_timeout_seconds: float = 0.4
    # How long writes leave a broker alone that did not answer, or took longer than that.
    broker_pause_seconds: float = 5.0


# A tombstone must outlive any attempt, which could bring the document back; a generation that was switched away from
# must outlive the pointers that readers hold.
OUTLIVES = (("tombstone_seconds", "attempt_seconds"), ("retired_seconds", "pointer_seconds"))


# The ring of tables that acknowledged changes are kept in has 32 hours, of which the one to come stays empty.
AT_MOST = {"acknowledged_hours": 30}


@cache
def conf() -> Conf:
    """The checked settings; raises ImproperlyConfigured naming the setting, its value and what is accepted."""
    given: dict[str, Any] = {name.lower(): value for name, value in settings.READMODELS.items()}
    known = {field.name: field for field in fields(Conf)}
    for name, value in given.items():
        if name not in known:
            raise ImproperlyConfigured(f"READMODELS[{name.upper()!r}] is unknown; accepted: {_names(known)}")
        if known[name].type is not str and not _is_number(value, known[name].type):
            kind = "a whole number" if known[name].type is int else "a number"
            raise ImproperlyConfigured(f"READMODELS[{name.upper()!r}]={value!r}; accepted: {kind} above 0")
    missing = [name.upper() for name in ("redis_url", "broker_url") if not given.get(name)]
    if missing:
        raise ImproperlyConfigured(f"READMODELS lacks {' and '.join(missing)}; accepted: a redis:// URL")
    found = Conf(**given)
    for longer, shorter in OUTLIVES:
        value, least = getattr(found, longer), getattr(found, shorter)
        if value <= least:
            accepted = f"more than {shorter.upper()}, which is {least!r}"
            raise ImproperlyConfigured(f"READMODELS[{longer.upper()!r}]={value!r}; accepted: {accepted}")
    for name, most in AT_MOST.items():
        value = getattr(found, name)
        if value > most:
            raise ImproperlyConfigured(f"READMODELS[{name.upper()!r}]={value!r}; accepted: at most {most}")
    return found


def _is_number(value: Any, kind: object) -> bool:
    return isinstance(value, int if kind is int else int | float) and 0 < value < float("inf")


def _names(known: Iterable[str]) -> str:
    return ", ".join(sorted(name.upper() for name in known))
