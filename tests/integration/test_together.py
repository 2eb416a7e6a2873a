"""Several statements in one trip to PostgreSQL, and how few trips one change takes."""

from typing import Any

import pytest
from django.db import ProgrammingError, connection

from orders.commands import pay_order
from readmodels import projector, testing, together
from tests.rows import add_order, add_user


def test_each_statement_has_its_rows(db):
    with connection.cursor() as cursor:
        found = together.ask(cursor, [("SELECT %s::int", [1]), ("SELECT 2 WHERE false", []), ("VALUES (3), (4)", [])])
    assert found == [[(1,)], [], [(3,), (4,)]]


def test_what_gives_no_rows_keeps_its_place(db):
    with connection.cursor() as cursor:
        assert together.ask(cursor, [("SET LOCAL lock_timeout = '1s'", []), ("SELECT 1", [])]) == [[], [(1,)]]


def test_nothing_is_asked_for_nothing(db):
    with connection.cursor() as cursor:
        assert together.ask(cursor, []) == []


def test_error_of_a_later_statement_is_raised(db):
    with connection.cursor() as cursor, pytest.raises(ProgrammingError):
        together.ask(cursor, [("SELECT 1", []), ("SELECT nothing", [])])


def test_one_change_takes_few_trips(store):
    order = add_order(add_user())
    testing.drain(store)
    pay_order(order_id=order.pk)
    statements: list[str] = []

    def note(execute: Any, sql: Any, *rest: Any) -> Any:
        statements.append(str(sql))
        return execute(sql, *rest)

    with connection.execute_wrapper(note):
        assert projector.settle(store) == 1
    # Shards, attempt, snapshot, documents with progress; acknowledged, with the epoch; attempt, shards.
    assert len(statements) == 7, "\n".join(statements)
