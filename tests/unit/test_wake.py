"""A wake is published once for many writes, and a broker in trouble never fails or holds up a write."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis
from celery import Celery

from readmodels import connection, wake
from readmodels.conf import conf
from readmodels.errors import BrokerUnavailable
from readmodels.wake import Wake, is_captured


class Flags:
    """As much of a broker as the flag needs."""

    def __init__(self) -> None:
        self.raised: set[str] = set()

    def set(self, name: str, value: int, *, nx: bool, px: int) -> bool:
        assert nx
        assert 0 < px <= 1000
        is_new = name not in self.raised
        self.raised.add(name)
        return is_new

    def delete(self, name: str) -> None:
        self.raised.discard(name)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    flags = Flags()
    monkeypatch.setattr(connection, "broker", lambda: flags)
    return []


@pytest.fixture
def mute_port() -> Iterator[int]:
    """The port of a server that accepts and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=100)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
    return port


def point_at(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    client = connection._client(f"redis://127.0.0.1:{port}/0", 1.0)
    monkeypatch.setattr(connection, "broker", lambda: client)


# Coalescing


def test_many_writes_are_one_wake(published):
    publish = Wake(lambda: published.append(1))
    for _ in range(10):
        publish()
    assert len(published) == 1


def test_write_after_draining_began_wakes_again(published):
    publish = Wake(lambda: published.append(1))
    publish()
    wake.clear_flag()
    publish()
    assert len(published) == 2


# A broker in trouble


def test_failed_publish_does_not_fail_the_write(published):
    def fail() -> None:
        raise OSError("no broker")

    Wake(fail)()


def test_failed_broker_is_left_alone_for_the_pause(published):
    clock = Clock()

    def fail() -> None:
        published.append(1)
        raise OSError("no broker")

    publish = Wake(fail, clock=clock)
    for clock.now in (0, 1, conf().broker_pause_seconds - 0.1):
        wake.clear_flag()
        publish()
    assert len(published) == 1
    clock.now = conf().broker_pause_seconds
    publish()
    assert len(published) == 2


def test_broker_that_is_well_again_is_used_again(published):
    clock = Clock()
    outcomes = iter([OSError("no broker"), None, None])

    def publish() -> None:
        published.append(1)
        if error := next(outcomes):
            raise error

    publisher = Wake(publish, clock=clock)
    for clock.now in (0, 10, 10.1):
        wake.clear_flag()
        publisher()
    assert len(published) == 3


def test_broker_that_refuses_does_not_fail_the_write(closed_port, monkeypatch):
    point_at(closed_port, monkeypatch)
    Wake(lambda: pytest.fail("published without the flag"))()


def test_broker_that_hangs_holds_up_one_write_for_a_second(mute_port, monkeypatch):
    point_at(mute_port, monkeypatch)
    publish = Wake(lambda: pytest.fail("published without the flag"))
    begun = time.monotonic()
    publish()
    first = time.monotonic() - begun
    for _ in range(1000):
        publish()
    assert first < 2
    assert time.monotonic() - begun - first < 0.5


def test_flag_that_cannot_be_cleared_is_said(closed_port, monkeypatch):
    point_at(closed_port, monkeypatch)
    with pytest.raises(BrokerUnavailable):
        wake.clear_flag()


def test_publishing_to_a_hung_broker_fails_soon(mute_port):
    """Celery's own way to the broker, as worker/config.py has it."""
    app = Celery(set_as_current=False)
    app.config_from_object("worker.config")
    app.conf.broker_url = f"redis://127.0.0.1:{mute_port}/0"
    errors: list[Exception] = []

    def publish() -> None:
        try:
            app.send_task("readmodels.drain")
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    thread.join(timeout=5)
    assert errors, "it still waits"


def test_both_clients_give_up(mute_port):
    client = connection._client(f"redis://127.0.0.1:{mute_port}/0", 0.1)
    begun = time.monotonic()
    with pytest.raises(redis.RedisError):
        client.ping()
    assert time.monotonic() - begun < 1  # no attempt but the first


# Which statements count


@pytest.mark.parametrize(
    "sql",
    [
        'INSERT INTO "users_user" ("name") VALUES (%s)',
        'UPDATE "orders_order" SET "status" = %s',
        'DELETE FROM "orders_orderline" WHERE 1 = 1',
        "TRUNCATE orders_product",
        "\n  update users_user set name = 'x'",
        'insert into "knox_authtoken" default values',
    ],
)
def test_write_to_a_captured_table_counts(sql):
    assert is_captured(sql)


@pytest.mark.parametrize(
    "sql",
    [
        'SELECT "users_user"."id" FROM "users_user"',
        'SELECT 1 FROM "orders_order" FOR UPDATE',
        'UPDATE "django_session" SET "session_data" = %s',
        'INSERT INTO "users_user_groups" ("user_id") VALUES (%s)',
        'DELETE FROM "readmodels_change"',
        'SAVEPOINT "s1"',
        "",
    ],
)
def test_other_statements_do_not_count(sql):
    assert not is_captured(sql)
