"""When a write wakes the worker: once per transaction that wrote to a captured table, after it has committed."""

import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.models import Session
from django.db import connection, connections, transaction
from django.utils import timezone
from psycopg import sql

from orders.models import Product
from project.child import wait_until
from readmodels import connection as redis_connection
from readmodels import message, outbox, tasks, wake
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


@pytest.fixture
def waiter(store) -> Iterator[ThreadPoolExecutor]:
    """A thread to wait on, with a database connection of its own."""
    with ThreadPoolExecutor(1) as pool:
        yield pool
        pool.submit(connections.close_all).result()


@pytest.fixture
def broken_broker(monkeypatch) -> None:
    """Nobody listens at the broker's address."""
    nowhere = redis_connection.identified("redis://127.0.0.1:1/0", 0.2)
    monkeypatch.setattr(redis_connection, "broker", lambda: nowhere)


def messages() -> int:
    """How many wait for a worker, those included that this thread has sent just now."""
    _, [count] = redis_connection.ask(redis_connection.broker(), [("LLEN", message.QUEUE)])
    return count


def is_waiting() -> bool:
    """Whether a worker waits for the next wake."""
    return bool(redis_connection.broker().exists(wake.WAITING))


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
    wake.send()
    assert messages() == 1
    assert 0 < redis_connection.broker().pttl(wake.FLAG) <= 1000
    wake.clear_flag()
    wake.send()
    assert messages() == 2


def test_wake_waits_for_no_answer(store):
    wake.send()
    wake.clear_flag()
    broker = redis_connection.broker()
    _, [own] = redis_connection.ask(broker, [("CLIENT", "ID")])
    redis_connection.tell(broker, ("BLPOP", "nothing:is:here", 5))  # whatever comes behind it has no answer yet
    wake.send()
    assert not broker.exists(wake.FLAG)
    assert broker.client_unblock(own)
    assert messages() == 2


def test_flag_that_is_up_sends_nothing(store):
    wake.send(), wake.send(), wake.send()
    assert messages() == 1


def test_worker_that_waits_is_called_and_sent_no_message(waiter):
    waiting = waiter.submit(wake.is_called, time.monotonic() + 10)
    assert wait_until(is_waiting, 5)
    wake.send()
    assert waiting.result(5)
    assert messages() == 0


def test_only_the_next_wake_is_for_the_one_that_waited(waiter):
    waiting = waiter.submit(wake.is_called, time.monotonic() + 10)
    assert wait_until(is_waiting, 5)
    wake.send(), wake.send(), wake.send()
    assert waiting.result(5)
    assert messages() == 1


def test_only_one_waits(waiter):
    waiting = waiter.submit(wake.is_called, time.monotonic() + 10)
    assert wait_until(is_waiting, 5)
    began = time.monotonic()
    assert not wake.is_called(began + 5)
    assert time.monotonic() < began + 5
    wake.send()
    assert waiting.result(5)


def test_nobody_waits_while_a_message_does(store):
    wake.send()
    began = time.monotonic()
    assert not wake.is_called(began + 5)
    assert time.monotonic() < began + 5


def test_wake_after_the_wait_is_a_message(store):
    assert not wake.is_called(time.monotonic() + 0.01)
    wake.send()
    assert messages() == 1


def test_wake_at_the_end_of_a_wait_is_not_lost(waiter):
    """Whenever it comes, it calls who waits or leaves a message: one of the two."""
    chance, outcomes = random.Random(1), set()
    for _ in range(300):
        waiting = waiter.submit(wake.is_called, time.monotonic() + 0.005)
        time.sleep(chance.uniform(0.003, 0.009))
        wake.send()
        is_called = waiting.result(5)
        assert (is_called, messages()) in [(True, 0), (False, 1)]
        outcomes.add(is_called)
        redis_connection.broker().flushdb()
    assert outcomes == {True, False}


def test_broker_that_is_away_ends_the_wait(store, broken_broker):
    began = time.monotonic()
    assert not wake.is_called(began + 5)
    assert time.monotonic() < began + 5


def test_drain_projects_what_is_written_while_it_waits(waiter):
    add_user()
    draining = waiter.submit(tasks.drain)
    assert wait_until(is_waiting, 5)
    assert outbox.backlog_rows() == 0
    add_user()
    assert draining.result(10) == 2
    assert messages() == 1  # that of the first


def test_drain_ends_however_many_wakes_come(waiter):
    """The worker's only process may be at it, and the sweep is due each second."""
    draining = waiter.submit(tasks.drain)

    def is_over() -> bool:
        if is_waiting():
            add_user()
        return draining.done()

    assert wait_until(is_over, 20)
    assert draining.result() > 1


def test_broker_that_forgot_the_script_learns_it(store):
    """By the wake after the one that is lost."""
    wake.send()
    redis_connection.broker().script_flush()
    wake.clear_flag()
    wake.send()
    assert messages() == 1
    wake.send()
    assert messages() == 2


def test_message_is_the_one_that_celery_sends(store):
    wake.send()
    assert messages() == 1
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
    assert messages() == 1
