"""Several statements in one trip to PostgreSQL, and how few trips one change takes."""

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from django.db import ProgrammingError, connection

from orders.commands import pay_order
from readmodels import projector, testing, together
from readmodels.together import Rows, Statement
from tests.reads import rows_read
from tests.rows import add_order, add_user
from users.models import User


def test_each_statement_has_its_rows(db):
    with connection.cursor() as cursor:
        asked = [Statement("SELECT %s::int", [1]), Statement("SELECT 2 WHERE false"), Statement("VALUES (3), (4)")]
        found = together.ask(cursor, asked)
    assert found == [[(1,)], [], [(3,), (4,)]]


def test_what_gives_no_rows_keeps_its_place(db):
    with connection.cursor() as cursor:
        asked = [Statement("SET LOCAL lock_timeout = '1s'"), Statement("SELECT 1")]
        assert together.ask(cursor, asked) == [[], [(1,)]]


def test_nothing_is_asked_for_nothing(db):
    with connection.cursor() as cursor:
        assert together.ask(cursor, []) == []


def test_error_of_a_later_statement_is_raised(db):
    with connection.cursor() as cursor, pytest.raises(ProgrammingError):
        together.ask(cursor, [Statement("SELECT 1"), Statement("SELECT nothing")])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("threshold", [5, None])
def test_plan_is_kept_where_the_connection_allows(threshold, monkeypatch):
    """Behind a pooler of transactions, the next statement may be another server's."""
    kept = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s"
    with connection.cursor() as cursor:
        monkeypatch.setattr(connection.connection, "prepare_threshold", threshold)
        for number in range(3):
            assert together.ask(cursor, [together.kept("SELECT %s::int AS plan_is_kept", number)]) == [[(number,)]]
        [[[count]]] = together.ask(cursor, [Statement(kept, ["%AS plan_is_kept"])])
    assert count == (1 if threshold else 0)


def test_plans_are_made_anew_after_a_while(store, monkeypatch):
    """The table may have grown for which they were made, and nothing told PostgreSQL."""
    counting = together.kept("SELECT count(*) FROM users_user WHERE id = ANY(ARRAY[%s]::bigint[])", add_user().pk)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE users_user SET (autovacuum_enabled = off)")
        cursor.execute("VACUUM ANALYZE users_user")
        for _ in range(10):
            together.ask(cursor, [counting])
        User.objects.bulk_create(User(name="A", email=f"{number}@example.com") for number in range(4_000))
        with rows_read("users_user") as before:
            together.ask(cursor, [counting])
        monkeypatch.setattr(together, "PLAN_SECONDS", -1.0)
        together.ask(cursor, [counting])
        with rows_read("users_user") as after:
            together.ask(cursor, [counting])
        cursor.execute("ALTER TABLE users_user RESET (autovacuum_enabled)")
    assert before.count > 4_000
    assert after.count < 10


def test_connection_that_broke_is_opened_anew_by_the_drain_that_meets_it(store):
    """A wake's drain looks at no connection before it begins (worker/signals.py)."""
    add_order(add_user())
    broken = connection.connection.info
    pid = broken.backend_pid
    with psycopg.connect(broken.dsn, password=broken.password) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert projector.settle(store) > 0
    assert connection.connection.info.backend_pid != pid


def test_one_change_takes_few_trips(store, monkeypatch):
    order = add_order(add_user())
    testing.drain(store)
    pay_order(order_id=order.pk)
    trips: list[str] = []

    def note(execute: Any, sql: Any, *rest: Any) -> Any:
        trips.append(str(sql))
        return execute(sql, *rest)

    def ask(cursor: Any, statements: Sequence[Statement]) -> list[Rows]:
        trips.extend("; ".join(each.sql for each in statements).splitlines()[:1])
        return asked(cursor, statements)

    asked = together.ask
    monkeypatch.setattr(together, "ask", ask)
    with connection.execute_wrapper(note):
        assert projector.settle(store) == 1
    # Turn and snapshot, documents; acknowledged, with the epoch; turn, and whether there is work.
    assert len(trips) == 4, "\n".join(trips)
