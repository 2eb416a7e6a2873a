"""Servers that are away, as far as this process can tell."""

from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from readmodels import connection as redis_connection
from readmodels import query


def no_redis(monkeypatch) -> None:
    """Nothing listens where the read models are."""
    nowhere = redis_connection.identified("redis://127.0.0.1:1", timeout_seconds=1)
    monkeypatch.setattr(redis_connection, "read_models", lambda: nowhere)
    query.reader.cache_clear()


def no_postgresql(monkeypatch) -> None:
    """No connection to the database is there or can be made."""

    def refuse(self):
        raise OperationalError("connection refused")

    connection.close()
    monkeypatch.setattr(BaseDatabaseWrapper, "connect", refuse)
