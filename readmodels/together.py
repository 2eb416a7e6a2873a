"""Several statements in one trip to PostgreSQL. A trip costs more than most of what the projector asks.

They are sent by psycopg's pipeline, the transaction's BEGIN with the first of them. To plan a short statement takes
longer than to run it, so PostgreSQL is asked to keep the plans of those that are always the same; where a connection
allows for no prepared statements (`prepare_threshold` None, as a pooler of transactions wants it), each is planned.

A plan that is kept is as good as what PostgreSQL knew when it was made. For a table of few rows it is to read them all,
which is slow for the same table once it is long; so plans are made anew now and then, and at once as the outbox grows.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import psycopg
from django.db.backends.utils import CursorWrapper


class Statement(NamedTuple):
    """SQL with %s for parameters, and those. `is_kept`: its plan does for whatever parameters, and is kept."""

    sql: str
    parameters: Sequence[Any] = ()
    is_kept: bool = False


Rows = list[tuple[Any, ...]]


def kept(sql: str, *parameters: Any) -> Statement:
    """A statement of which the plan is kept."""
    return Statement(sql, parameters, is_kept=True)


def ask(cursor: CursorWrapper, statements: Sequence[Statement]) -> list[Rows]:
    """The rows of each statement; where one fails, it raises that error. Nothing is asked where there is none.

    Outside of a transaction of the caller's they are one together.
    """
    if not statements:
        return []
    database: Any = cursor.db
    made: psycopg.Connection = cursor.connection
    with database.wrap_database_errors:
        with made.pipeline():
            asked = [
                psycopg.Cursor(made).execute(each.sql, each.parameters, prepare=each.is_kept) for each in statements
            ]
            if _are_plans_old(made):
                # Last, since a snapshot is taken for it, before which the isolation of a transaction is said.
                psycopg.Cursor(made).execute("DISCARD PLANS")
        return [each.fetchall() if each.description else [] for each in asked]


GROWN = 4  # times
PLAN_SECONDS = 10.0
_planned_at: WeakKeyDictionary[psycopg.Connection, float] = WeakKeyDictionary()
_planned_for: WeakKeyDictionary[psycopg.Connection, int] = WeakKeyDictionary()


def _are_plans_old(made: psycopg.Connection) -> bool:
    now = time.monotonic()
    is_old = now > _planned_at.setdefault(made, now) + PLAN_SECONDS
    if is_old:
        _planned_at[made] = now
    return is_old


def plan_for(cursor: CursorWrapper, size: int) -> None:
    """The plans kept by this connection are none of when the outbox was much shorter than this (bytes)."""
    made: psycopg.Connection = cursor.connection
    if size > GROWN * _planned_for.get(made, 0):
        cursor.execute("DISCARD PLANS")
        _planned_for[made] = size
    # A vacuum may have made it shorter, upon which PostgreSQL plans anew.
    _planned_for[made] = min(size, _planned_for[made])
