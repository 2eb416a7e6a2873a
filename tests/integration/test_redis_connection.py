"""A thread's own connection to Redis: given up when nobody answers, opened anew when it ended, never shared."""

import multiprocessing
import threading

import pytest

from project.child import wait_until
from readmodels import connection
from readmodels.conf import conf
from readmodels.connection import ask
from readmodels.errors import StoreUnavailable
from readmodels.store import Store

PING = [("PING",)]


@pytest.fixture
def client(store):
    return connection.identified(conf().redis_url, timeout_seconds=0.2)


def own_id(client):
    return ask(client, [("CLIENT", "ID")])[1][0]


def test_redis_that_does_not_answer_is_given_up(client):
    blocked = [("BLPOP", "nothing:is:here", 5)]
    with pytest.raises(StoreUnavailable):
        ask(client, blocked)
    # The answer that may still come is nobody's.
    assert ask(client, PING)[1] == [b"PONG"]


def test_connection_is_kept(client):
    assert own_id(client) == own_id(client)


def test_connection_that_the_server_ended_is_opened_anew(client, monkeypatch):
    monkeypatch.setattr(connection, "IDLE_SECONDS", -1.0)
    before = own_id(client)
    connection.read_models().client_kill_filter(_id=before)
    assert own_id(client) != before


def test_clock_is_asked_again_after_a_while(client):
    before = connection.recent_ms(client, within_seconds=10)
    asked = time_of(client)
    assert wait_until(lambda: time_of(client) > asked + 50, 10)
    assert before == connection.recent_ms(client, within_seconds=10) <= asked
    assert connection.recent_ms(client, within_seconds=0.01) >= asked + 50


def test_clock_of_another_connection_is_not_taken_for_that_of_this(client, monkeypatch):
    """It may lead to another server."""
    connection.recent_ms(client, within_seconds=10)
    asked = time_of(client)
    assert wait_until(lambda: time_of(client) > asked, 10)
    connection.read_models().client_kill_filter(_id=own_id(client))
    monkeypatch.setattr(connection, "IDLE_SECONDS", -1.0)
    assert connection.recent_ms(client, within_seconds=10) > asked


def time_of(client):
    return Store(client).now_ms()


def test_each_thread_has_its_own(client):
    found = [own_id(client)]
    thread = threading.Thread(target=lambda: found.append(own_id(client)))
    thread.start()
    thread.join()
    assert len(set(found)) == 2


def test_forked_process_has_its_own(client):
    before = own_id(client)
    forking = multiprocessing.get_context("fork")
    mine, theirs = forking.Pipe()
    process = forking.Process(target=lambda: theirs.send(own_id(client)))
    process.start()
    process.join()
    assert mine.recv() != before
    assert own_id(client) == before


def test_error_of_one_command_leaves_the_answers_of_others_to_nobody(client):
    with pytest.raises(Exception, match="wrong number"):
        ask(client, [("GET",), ("PING",)])
    assert ask(client, PING)[1] == [b"PONG"]
