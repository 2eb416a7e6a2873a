"""The relay: projects, sweeps and repairs by itself, in threads that don't wait for each other; no broker is needed."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from project.child import wait_until
from project.env import ROOT
from readmodels import connection as redis_connection
from readmodels import consistency, generations, keys, outbox, projector, rebuild, testing
from readmodels import relay as relay_module
from readmodels.errors import ReadModelError
from readmodels.query import Reader
from readmodels.relay import PAUSE_SECONDS, Relay
from readmodels.store import Store
from tests.reading import body
from tests.rows import add_order, add_user
from users.commands import rename_user
from users.models import User
from users.readmodels.user_profile import UserProfile

WITHIN_SECONDS = 30
OTHERS = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def begin(store) -> Iterator[Callable[[], Relay]]:
    """Call it to have a relay at work in threads of the test's process; each has ended when the test has."""
    begun: list[Relay] = []

    def begin() -> Relay:
        begun.append(Relay())
        begun[-1].start()
        return begun[-1]

    yield begin
    assert [relay.end() for relay in begun] == [[] for _ in begun]


@pytest.fixture
def relay(begin) -> Relay:
    return begin()


def name_of(store: Store, user: User) -> str | None:
    """The name that queries show, None while they show nothing."""
    try:
        document = body(store, UserProfile, user.pk)
    except ReadModelError:
        return None
    return document and document["name"]


def customer_names(store: Store, user: User) -> set[str]:
    orders = Order.objects.filter(customer=user).values_list("pk", flat=True)
    return {json.loads(answer.body)["customer"]["name"] for answer in Reader(store).documents(OrderDetail, orders)}


@contextmanager
def locked(sql: str, *values: object):
    """Rows are locked by somebody else until the block ends."""
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute(f"{sql} FOR UPDATE", values)
        yield


@contextmanager
def a_lost_bucket_under_lock(beside: User):
    """A repair is due, and is held up until the block ends; the bucket is none that the user is shown from."""
    in_use = {0, keys.bucket_of("UserProfile", str(beside.pk))}
    lost = next(bucket for bucket in range(keys.BUCKETS) if bucket not in in_use)
    with locked("SELECT 1 FROM readmodels_bucket WHERE number = %s", lost):
        redis_connection.read_models().delete(keys.marker(lost))
        yield


def is_waited_for() -> bool:
    """Whether a thread of the relay waits for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return cursor.fetchone() == (True,)


# In the test's process


def test_write_becomes_visible(store, relay):
    user = add_user(name="A")
    rename_user(user_id=user.pk, name="B")
    assert wait_until(lambda: name_of(store, user) == "B", WITHIN_SECONDS)


def test_write_waits_for_no_sweep(store, begin, monkeypatch):
    monkeypatch.setattr(relay_module, "SWEEP_SECONDS", 3600)
    first, second = add_user(name="A"), add_user(name="A")
    begin()
    assert wait_until(lambda: name_of(store, first) == "A", WITHIN_SECONDS)  # by the sweep at the start, or after it
    for name in ("B", "C"):
        rename_user(user_id=second.pk, name=name)
        assert wait_until(lambda expected=name: name_of(store, second) == expected, WITHIN_SECONDS)


def test_token_is_satisfied_by_a_document_that_the_write_did_not_touch(store, relay):
    user = add_user(name="A")
    assert wait_until(lambda: name_of(store, user) == "A", WITHIN_SECONDS)
    with consistency.recorded() as written:
        add_user()
    assert Reader(store).document(UserProfile, user.pk, token=written.token, wait_seconds=WITHIN_SECONDS).body


def test_emptied_redis_is_repaired(store, relay):
    user = add_user(name="A")
    assert wait_until(lambda: name_of(store, user) == "A", WITHIN_SECONDS)
    redis_connection.read_models().flushall()
    assert wait_until(lambda: name_of(store, user) == "A", WITHIN_SECONDS)


def test_moved_epoch_is_raised(store, relay):
    user = add_user(name="A")
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM readmodels_witness")
    rename_user(user_id=user.pk, name="B")
    assert wait_until(lambda: name_of(store, user) == "B", WITHIN_SECONDS)


def test_broken_connection_is_replaced(store, begin, monkeypatch):
    monkeypatch.setattr(relay_module, "SWEEP_SECONDS", 3600)  # whose transactions would replace it too
    begin()
    user = add_user(name="A")
    assert wait_until(lambda: name_of(store, user) == "A", WITHIN_SECONDS)
    assert wait_until(lambda: outbox.backlog_rows() == 0, WITHIN_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(pg_terminate_backend(pid)) FROM {OTHERS}")
        assert cursor.fetchone() != (0,)
    rename_user(user_id=user.pk, name="B")
    assert wait_until(lambda: name_of(store, user) == "B", WITHIN_SECONDS)


def test_fault_of_the_code_ends_nothing(store, relay, monkeypatch):
    failed = threading.Event()

    def settle(*args: object, **kwargs: object) -> int:
        monkeypatch.undo()
        failed.set()
        raise ZeroDivisionError

    monkeypatch.setattr(projector, "settle", settle)
    user = add_user(name="A")
    assert wait_until(lambda: name_of(store, user) == "A", WITHIN_SECONDS)
    assert failed.is_set()


def test_live_changes_go_on_while_the_bulk_lane_is_held_up(store, begin, configured):
    configured(fan_out_documents=3)
    wide, other = add_user(name="A"), add_user(name="X")
    for _ in range(5):
        add_order(wide)
    testing.drain(store)
    rename_user(user_id=wide.pk, name="B")
    projector.settle(store)
    with locked("SELECT 1 FROM readmodels_change WHERE is_fan_out"):
        begin()
        assert wait_until(is_waited_for, WITHIN_SECONDS)
        for name in ("Y", "Z"):
            rename_user(user_id=other.pk, name=name)
            assert wait_until(lambda expected=name: name_of(store, other) == expected, WITHIN_SECONDS)
        assert is_waited_for()
        assert customer_names(store, wide) == {"A"}
    assert wait_until(lambda: customer_names(store, wide) == {"B"}, WITHIN_SECONDS)
    assert wait_until(lambda: outbox.backlog_rows() == 0, WITHIN_SECONDS)
    testing.assert_law(store)


def test_live_changes_go_on_while_a_repair_is_held_up(store, relay):
    user = add_user(name="A")
    assert wait_until(lambda: name_of(store, user) == "A", WITHIN_SECONDS)
    with a_lost_bucket_under_lock(beside=user):
        assert wait_until(is_waited_for, WITHIN_SECONDS)
        for name in ("B", "C"):
            rename_user(user_id=user.pk, name=name)
            assert wait_until(lambda expected=name: name_of(store, user) == expected, WITHIN_SECONDS)
        assert is_waited_for()
    assert wait_until(lambda: not rebuild.is_due(store), WITHIN_SECONDS)


def test_scrub_goes_on_while_a_repair_is_held_up(store, begin, monkeypatch):
    monkeypatch.setattr(relay_module, "SCRUB_SECONDS", 0.01)
    user = add_user(name="A")
    testing.drain(store)
    with a_lost_bucket_under_lock(beside=user):
        begin()
        assert wait_until(is_waited_for, WITHIN_SECONDS)
        document = keys.document("UserProfile", generations.pointers()["UserProfile"], str(user.pk))
        assert redis_connection.read_models().delete(document) == 1
        assert wait_until(lambda: name_of(store, user) == "A", WITHIN_SECONDS)
        assert is_waited_for()


def test_two_relays_get_along(store, begin):
    begin(), begin()
    users = [add_user(name="A") for _ in range(20)]
    for name in ("B", "C"):
        for user in users:
            rename_user(user_id=user.pk, name=name)
    assert wait_until(lambda: outbox.backlog_rows() == 0, WITHIN_SECONDS)
    testing.assert_law(store)


def test_end_comes_after_the_batch_in_hand(store, begin, configured):
    configured(batch_rows=1)
    for _ in range(60):
        add_user()
    before = outbox.backlog_rows()
    relay = begin()
    assert wait_until(lambda: outbox.backlog_rows() < before, WITHIN_SECONDS)
    assert relay.end() == []
    assert outbox.backlog_rows() > 0
    configured(batch_rows=500)
    testing.drain(store)
    testing.assert_law(store)


def test_end_breaks_off_a_repair(store, begin, configured):
    users = [add_user(name="A") for _ in range(10)]
    testing.drain(store)
    configured(batch_rows=1)
    with a_lost_bucket_under_lock(beside=users[0]):
        relay = begin()
        assert wait_until(is_waited_for, WITHIN_SECONDS)
        ending = threading.Thread(target=relay.end)
        ending.start()
        assert wait_until(lambda: "relay-live" not in {thread.name for thread in threading.enumerate()}, WITHIN_SECONDS)
    ending.join()
    assert rebuild.is_due(store)
    testing.drain(store)
    assert {name_of(store, user) for user in users} == {"A"}


def test_no_thread_is_left(store, begin):
    before = set(threading.enumerate())
    relay = begin()
    assert relay.end() == []
    assert set(threading.enumerate()) == before


# As a process


class Process:
    """`manage.py relay` on the test's database, with a broker that is not there."""

    def __init__(self, servers, log: Path, *words: str, **environ: str):
        name = connection.settings_dict["NAME"]
        database = servers.postgres.url.replace("@/readmodels?", f"@/{name}?")
        self._log = log
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "relay", *words],
            env={**os.environ, "DATABASE_URL": database, "BROKER_URL": NOWHERE, "PYTHONUNBUFFERED": "1", **environ},
            stdout=log.open("w"),
            stderr=subprocess.STDOUT,
        )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_for(self, text: str):
        assert wait_until(lambda: text in self.log or self.process.poll() is not None, WITHIN_SECONDS)
        assert text in self.log, self.log
        return self

    def end(self, number=signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(WITHIN_SECONDS)


@pytest.fixture
def start_relay(store, servers, tmp_path):
    started = []

    def start(*words: str, **environ: str) -> Process:
        started.append(Process(servers, tmp_path / "relay.log", *words, **environ))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


def test_process_needs_no_broker(store, start_relay):
    relay = start_relay()
    user = add_user(name="A")
    assert wait_until(lambda: name_of(store, user) == "A", WITHIN_SECONDS), relay.log
    redis_connection.read_models().flushall()
    assert wait_until(lambda: name_of(store, user) == "A", WITHIN_SECONDS), relay.log
    assert "turn_failed" not in relay.log.split("buckets_lost")[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_ends_well_when_told_to(start_relay, number):
    relay = start_relay().wait_for("relay_started")
    assert relay.end(number) == 0
    assert "relay_ended" in relay.log
    assert "Traceback" not in relay.log


@pytest.mark.parametrize(
    "away",
    [{"DATABASE_URL": "postgresql://postgres:geheim@127.0.0.1:1/readmodels"}, {"REDIS_URL": "redis://127.0.0.1:1/1"}],
    ids=["PostgreSQL", "Redis"],
)
def test_process_waits_for_a_server_that_is_away(start_relay, away):
    """No end, no traceback, no busy loop."""
    relay = start_relay(**away)
    assert wait_until(lambda: len(moments(relay.log)) >= 3, WITHIN_SECONDS), relay.log
    first, second, third = moments(relay.log)[:3]
    assert min(second - first, third - second) >= 0.9 * PAUSE_SECONDS
    assert relay.end() == 0
    assert "Traceback" not in relay.log
    assert "geheim" not in relay.log


def test_process_gives_up_a_statement_that_does_not_end(store, start_relay):
    user = add_user(name="A")
    with locked("SELECT 1 FROM readmodels_change"):
        relay = start_relay(READMODELS_STATEMENT_SECONDS="0.5").wait_for("did not finish a statement within 0.5 s")
    assert wait_until(lambda: outbox.backlog_rows() == 0, WITHIN_SECONDS), relay.log
    assert name_of(store, user) == "A"


def test_wrong_argument_ends_the_process(start_relay):
    relay = start_relay("--poll-ms=0")
    assert relay.process.wait(WITHIN_SECONDS) == 2
    assert "accepted: a whole number from 1 to 1000" in relay.log


@pytest.mark.parametrize("word", ["0", "1001", "-5", "2.5", "often", ""])
def test_wrong_poll_is_refused(word):
    with pytest.raises(CommandError, match="accepted: a whole number from 1 to 1000"):
        call_command("relay", f"--poll-ms={word}")


def moments(log: str) -> list[float]:
    """When turns of the thread failed that projects live changes; the scrub's has a pace of its own."""
    found = re.findall(r"timestamp='([^']+)'.*event='turn_failed' thread='relay-live'", log)
    return [datetime.fromisoformat(text).timestamp() for text in found]
