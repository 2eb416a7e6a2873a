"""A statement that does not end is given up, and the next one finds a connection that works."""

import time
from dataclasses import replace

import pytest
from django.db import OperationalError, connection, transaction
from django.db.backends.signals import connection_created

from readmodels import patience
from readmodels.conf import conf


@pytest.fixture
def impatient(store, monkeypatch):
    monkeypatch.setattr(patience, "conf", lambda: replace(conf(), statement_seconds=0.2))
    connection.close()
    patience.limit()
    yield
    connection_created.disconnect(dispatch_uid="readmodels.patience")
    connection.close()


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_statement_that_does_not_end_is_given_up(impatient):
    started = time.monotonic()
    with pytest.raises(OperationalError, match="did not finish"), transaction.atomic():
        run("SELECT pg_sleep(5)")
    assert time.monotonic() - started < 2


def test_next_transaction_has_a_connection_that_works(impatient):
    with pytest.raises(OperationalError), transaction.atomic():
        run("SELECT pg_sleep(5)")
    with transaction.atomic():
        run("SELECT 1")


def test_statement_in_time_is_answered(impatient):
    run("SELECT pg_sleep(0.05)")
