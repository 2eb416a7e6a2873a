"""Step 2b: the wake. One Celery message per transaction at the most says "there is work"; it carries no data and may be
lost: the sweep is the authority. A broker that is down, slow or full never fails a write.

A worker that has just drained waits a little for the next wake, which then goes straight to it: from the broker to a
worker's process Celery takes longer than the change takes to be projected.
"""

import math
import re
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import structlog
from django.db import transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from readmodels import connection, faults, message, trace
from readmodels.conf import conf
from readmodels.declare import declared
from readmodels.errors import BrokerUnavailable, ReadModelError
from readmodels.graph import uses
from readmodels.store import Store

log = structlog.get_logger()

FLAG = "readmodels:wake"
# A flag left behind by a lost message holds back wakes no longer than the sweep takes to find the work.
FLAG_MS = 1000
# Named as the queue is, so that whoever may send there may use them.
WAITING, WOKEN = f"{message.QUEUE}:waiting", f"{message.QUEUE}:woken"
# From the start of its task on. The worker's only process may be the one that waits, and the sweep is due each second.
WAIT_SECONDS = 0.5


class Wake:
    """Sends wakes; after a failure it leaves the broker alone for a while."""

    def __init__(self, send: Callable[[], object], clock: Callable[[], float] = time.monotonic) -> None:
        self._send = send
        self._clock = clock
        self._closed_until = 0.0

    def __call__(self) -> None:
        """A projector has been told that there is work, or need not be, or can't be; never raises."""
        started = self._clock()
        if started < self._closed_until:
            return
        try:
            self._send()
        except Exception as error:  # whatever the broker's client raises, the write has committed and stands
            self._pause(str(error))
        else:
            # Each step of a slow broker may be within its time-out, and every write would wait for their sum.
            if self._clock() - started > conf().broker_timeout_seconds:
                self._pause("the broker is slow")

    def _pause(self, reason: str) -> None:
        self._closed_until = self._clock() + conf().broker_pause_seconds
        log.warning("wake_failed", reason=reason, pause_seconds=conf().broker_pause_seconds)


def send() -> None:
    """A worker is called, or a message waits for one. A write waits for this, so this does not wait for the broker;
    that it failed is raised by the next.
    """
    _broker().tell(("wake", [FLAG, message.QUEUE, WAITING, WOKEN], [FLAG_MS, message.made()]))


def clear_flag() -> None:
    """The flag is down: a change committed from now on wakes again. Called before draining starts."""
    try:
        _broker().ask([("DEL", FLAG)])
    except ReadModelError as error:
        raise BrokerUnavailable(str(error)) from error


def is_called(until: float) -> bool:
    """Whether there may be work again; returns as soon as there is, or at that time (monotonic, s).

    Until then the next wake is for who called this, and no message is sent; those after it are messages again. False
    at once where another worker waits, where a message waits for a worker, or where the broker does not answer.
    """
    seconds = until - time.monotonic()
    called = None
    try:
        # A while longer, so that this itself ends it; not for ever, or the dead would be called.
        if seconds <= 0 or not _broker().run([("wait", [FLAG, WAITING], [math.ceil(seconds * 1000) + FLAG_MS])])[0]:
            return False
        faults.reached("waiting")
        while called is None and (seconds := until - time.monotonic()) > 0:
            # A broker that does not answer is told from one that has nothing to say.
            _, [called] = _broker().ask([("BLPOP", WOKEN, min(seconds, conf().broker_timeout_seconds / 2))])
        if called is None:  # one may have come just now
            _, [_, called] = _broker().ask([("DEL", WAITING), ("LPOP", WOKEN)])
    except ReadModelError as error:
        log.warning("waiting_failed", reason=str(error))
    return called is not None


def _broker() -> Store:
    return Store(connection.broker())


def on_connection(wake: Callable[[], None]) -> Callable[..., None]:
    """A receiver of `connection_created`: each write to a captured table carries the request's trace, and wakes the
    worker once it commits.
    """

    def install(sender: object, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        def run(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
            if not is_captured(_text(sql)):
                return execute(sql, params, many, context)
            result = execute(trace.marked(sql), params, many, context)
            if not any(entry[1] is wake for entry in connection.run_on_commit):
                transaction.on_commit(wake, using=connection.alias)
            return result

        if not any(getattr(wrapper, "is_wake", False) for wrapper in connection.execute_wrappers):
            run.is_wake = True  # type: ignore[attr-defined]
            connection.execute_wrappers.append(run)

    return install


def _text(sql: Any) -> str:
    """A statement as text; cursors also take bytes and psycopg's SQL objects."""
    if isinstance(sql, bytes):
        return sql.decode(errors="replace")
    return sql if isinstance(sql, str) else str(sql.as_string(None))


def is_captured(sql: str) -> bool:
    """Whether a statement may write to a table that some read model depends on."""
    return _captured_write().match(sql) is not None


@cache
def _captured_write() -> re.Pattern[str]:
    tables = {use.model._meta.db_table for read_model in declared().values() for use in uses(read_model)}
    names = "|".join(sorted(re.escape(table) for table in tables)) or "(?!)"
    # Other tools put comments of their own before a statement.
    start = r"(?:\s|/\*(?:[^*]|\*(?!/))*\*/)*"
    write = r"(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE)"
    return re.compile(rf'{start}{write}\s+"?(?:{names})\b', re.IGNORECASE)
