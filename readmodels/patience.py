"""How long a process that serves requests or tasks waits for PostgreSQL to finish one statement.

PostgreSQL's client library waits for ever: over a connection that stalls (a frozen proxy, a partition that TCP has not
noticed) not even `statement_timeout` ends a request, since its error can't arrive. Not for manage.py: a migration may
take as long as it likes.
"""

from functools import partial
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from psycopg.errors import _WaitTimeout  # what psycopg says is over, of which it leaves the rest to the caller

from readmodels.conf import conf


def limit() -> None:
    """On connections made from now on, a statement of more than `statement_seconds` raises OperationalError."""
    connection_created.connect(_limit_connection, weak=False, dispatch_uid="readmodels.patience")


def _limit_connection(sender: object, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    made = connection.connection
    made.wait = partial(_wait, made)


def _wait(made: "psycopg.Connection[Any]", work: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
    limit_seconds = conf().statement_seconds if timeout is None else timeout
    try:
        return type(made).wait(made, work, interval, limit_seconds)
    except _WaitTimeout:
        if timeout is not None:
            raise
        # What comes later would be taken for the answer to the next statement; a rollback would wait as long again.
        made.pgconn.finish()
        raise psycopg.OperationalError(f"PostgreSQL did not finish a statement within {limit_seconds:g} s") from None
