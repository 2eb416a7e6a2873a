"""When a write wakes the worker: once per transaction that wrote to a captured table, after it has committed."""

import json
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.utils import timezone
from psycopg import sql

from orders.models import Product
from readmodels import connection as redis_connection
from readmodels import message, tasks, wake
from tests.rows import add_product, add_user
from users.models import User


@pytest.fixture
def wakes(store) -> Iterator[list[str]]:
    """What the commits of this connection do in place of publishing."""
    calls: list[str] = []
    installed = list(connection.execute_wrappers)
    connection.execute_wrappers.clear()
    wake.on_connection(lambda: calls.append("woken"))(sender=None, connection=connection)
    yield calls
    connection.execute_wrappers[:] = installed


def test_write_wakes(wakes):
    add_product()
    assert wakes == ["woken"]


def test_transaction_wakes_once(wakes):
    with transaction.atomic():
        add_product()
        add_user()
        Product.objects.update(name="x")
        assert wakes == []
    assert wakes == ["woken"]


def test_each_transaction_wakes(wakes):
    add_product()
    add_product()
    assert wakes == ["woken", "woken"]


def test_rolled_back_transaction_does_not_wake(wakes):
    with transaction.atomic():
        add_product()
        transaction.set_rollback(True)
    assert wakes == []


def test_rolled_back_savepoint_does_not_wake(wakes):
    with transaction.atomic(), transaction.atomic():
        add_product()
        transaction.set_rollback(True)
    assert wakes == []


def test_write_after_a_rolled_back_savepoint_wakes(wakes):
    with transaction.atomic():
        with transaction.atomic():
            add_product()
            transaction.set_rollback(True)
        add_product()
    assert wakes == ["woken"]


def test_write_before_a_rolled_back_savepoint_wakes(wakes):
    with transaction.atomic():
        add_product()
        with transaction.atomic():
            add_product()
            transaction.set_rollback(True)
    assert wakes == ["woken"]


def test_write_in_a_savepoint_wakes_once(wakes):
    with transaction.atomic():
        with transaction.atomic():
            add_product()
        add_product()
    assert wakes == ["woken"]


def test_reads_do_not_wake(wakes):
    list(User.objects.all())
    with transaction.atomic():
        list(Product.objects.select_for_update())
    assert wakes == []


def test_writes_to_other_tables_do_not_wake(wakes):
    Session.objects.create(session_key="x", session_data="", expire_date=timezone.now())
    Group.objects.create(name="x")
    assert wakes == []


def test_failed_write_does_not_wake(wakes):
    with pytest.raises(Exception, match="orders_product_price_is_not_negative"):
        add_product(price_cents=-1)
    assert wakes == []


def test_composed_sql_wakes(wakes):
    add_product()
    statement = sql.SQL("UPDATE {} SET name = 'x'").format(sql.Identifier("orders_product"))
    with connection.cursor() as cursor:
        cursor.execute(statement)
    assert wakes == ["woken", "woken"]


def test_bytes_wake(wakes):
    with connection.cursor() as cursor:
        cursor.execute(b"UPDATE orders_product SET name = 'x'")
    assert wakes == ["woken"]


def test_many_at_once_wake_once(wakes):
    with transaction.atomic(), connection.cursor() as cursor:
        rows = [(f"P{number}", "P", 1) for number in range(3)]
        cursor.executemany("INSERT INTO orders_product (sku, name, price_cents) VALUES (%s, %s, %s)", rows)
    assert wakes == ["woken"]


def test_second_connect_installs_nothing_more(wakes):
    wake.on_connection(lambda: wakes.append("again"))(sender=None, connection=connection)
    add_product()
    assert wakes == ["woken"]


def test_flag_goes_down_by_itself(store):
    assert wake.send()
    assert not wake.send()
    assert 0 < redis_connection.broker().pttl(wake.FLAG) <= 1000
    wake.clear_flag()
    assert wake.send()


def test_flag_that_is_up_sends_nothing(store):
    wake.send(), wake.send()
    assert redis_connection.broker().llen(message.QUEUE) == 1


def test_broker_that_forgot_the_script_learns_it(store):
    wake.send()
    redis_connection.broker().script_flush()
    wake.clear_flag()
    assert wake.send()


def test_message_is_the_one_that_celery_sends(store):
    wake.send()
    tasks.drain.delay()
    theirs, ours = (json.loads(sent) for sent in redis_connection.broker().lrange(message.QUEUE, 0, 1))
    named = ours["headers"]["id"]
    for part in ("headers", "properties"):
        told = {name: value for name, value in ours.pop(part).items() if value != named}
        assert told == {name: value for name, value in theirs.pop(part).items() if name in told}
    assert ours == theirs


def test_write_leaves_one_message_for_the_worker(store):
    """The whole way: a commit, the flag, the broker's list for live changes."""
    for _ in range(5):
        add_product()
    assert redis_connection.broker().llen(message.QUEUE) == 1
