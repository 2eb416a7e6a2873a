"""Steps 0 and 2: the trace of a request, from its `traceparent` header (W3C Trace Context) into each change it makes.

A write to a captured table takes it along in a comment, which the trigger reads, so it costs no round trip.
"""

import re
from collections.abc import Callable
from contextvars import ContextVar
from random import getrandbits
from typing import Any

from django.http import HttpRequest, HttpResponse
from psycopg import sql
from structlog.typing import EventDict

# version, trace id, parent id, flags; versions to come may have more behind another dash.
TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
COMMENT = "/*traceparent='{}'*/"
# SQL, for the trigger: the trace at the very beginning of the statement that the client sent; without one, what psql or
# an import has set. No more of the statement than the comment's length is looked at.
TRACE_SQL = """COALESCE(
    substring(left(current_query(), 73) FROM
              '^/[*]traceparent=''(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})''[*]/'),
    nullif(current_setting('readmodels.trace', true), ''))"""

_current: ContextVar[str | None] = ContextVar("trace", default=None)


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Django's: what answers a request carries the trace that it brought, or one of its own."""

    def respond(request: HttpRequest) -> HttpResponse:
        with carried(taken_up(request.META.get("HTTP_TRACEPARENT", "")) or begun()):
            return get_response(request)

    return respond


class carried:  # called like a function; as one that yields, it would cost each request twice as much
    """Until the block ends, changes and lines of the log have this trace."""

    def __init__(self, trace: str) -> None:
        self._trace = trace

    def __enter__(self) -> None:
        self._before = _current.set(self._trace)

    def __exit__(self, *error: object) -> None:
        _current.reset(self._before)


def told(logger: Any, method: str, event: EventDict) -> EventDict:
    """The event with the trace that it belongs to; called by structlog for every line."""
    trace = _current.get()
    return event if trace is None else {"trace": trace, **event}


def taken_up(header: str) -> str | None:
    """The trace that a header names, as version 00 has it; None for what the recommendation calls invalid."""
    found = TRACEPARENT.fullmatch(header)
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    if version != "00":
        # Of later versions no more than what 00 knows may be relied on: the flag that says "sampled".
        return f"00-{trace_id}-{parent_id}-{int(flags, 16) & 1:02x}"
    return None if more else header


def begun() -> str:
    """A trace of its own, for a request that brought none."""
    # It need not be hard to guess, and the system's own generator costs a call to the kernel; 0 is no id.
    return f"00-{getrandbits(128) or 1:032x}-{getrandbits(64) or 1:016x}-00"


def marked(statement: Any) -> Any:
    """The statement (text, bytes or psycopg's SQL) with the current trace before it; as it was where there is none."""
    trace = _current.get()
    if trace is None:
        return statement
    comment = COMMENT.format(trace)
    if isinstance(statement, bytes):
        return comment.encode() + statement
    return comment + statement if isinstance(statement, str) else sql.SQL(comment) + statement
