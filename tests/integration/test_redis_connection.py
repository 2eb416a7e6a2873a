"""A thread's own connection to Redis: given up when nobody answers, opened anew when it ended, never shared."""

import multiprocessing
import threading

import pytest

from project.child import wait_until
from readmodels import connection
from readmodels.conf import conf
from readmodels.connection import ask, tell
from readmodels.errors import StoreUnavailable, WriteRefused
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


def test_what_is_told_is_done_before_what_is_asked_then(client):
    tell(client, ("SET", "told", 1))
    tell(client, ("INCR", "told"))
    assert ask(client, [("GET", "told")])[1] == [b"2"]
    tell(client, ("INCR", "told"))
    assert ask(client, [("GET", "told"), ("PING",)])[1] == [b"3", b"PONG"]


def test_telling_waits_for_nothing(client):
    others, own = connection.read_models(), own_id(client)
    tell(client, ("BLPOP", "nothing:is:here", 5))
    tell(client, ("SET", "told:later", 1))
    assert others.get("told:later") is None
    assert others.client_unblock(own)
    assert ask(client, [("GET", "told:later")])[1] == [b"1"]


def test_what_was_told_and_failed_is_raised_by_the_next(client):
    tell(client, ("GET",))
    ask(client, PING)
    with pytest.raises(WriteRefused, match="wrong number"):
        tell(client, ("SET", "told", 1))
    tell(client, ("INCR", "told"))
    assert ask(client, [("GET", "told")])[1] == [b"2"]


def test_redis_that_does_not_answer_what_was_told_is_given_up(client):
    before = own_id(client)
    tell(client, ("BLPOP", "nothing:is:here", 5))

    def is_given_up() -> bool:
        try:
            tell(client, ("PING",))
        except StoreUnavailable:
            return True
        return False

    assert wait_until(is_given_up, 5)
    assert own_id(client) != before


def test_answer_that_nobody_has_read_is_no_end_of_the_connection(client, monkeypatch):
    before = own_id(client)
    tell(client, ("PING",))
    assert wait_until(lambda: client.known()._made.can_read(), 5)
    monkeypatch.setattr(connection, "IDLE_SECONDS", -1.0)
    assert own_id(client) == before


def test_connection_that_ended_after_what_was_told_is_opened_anew(client, monkeypatch):
    before = own_id(client)
    tell(client, ("PING",))
    connection.read_models().client_kill_filter(_id=before)
    monkeypatch.setattr(connection, "IDLE_SECONDS", -1.0)
    tell(client, ("SET", "told", 1))
    assert ask(client, [("GET", "told")])[1] == [b"1"]
    assert own_id(client) != before
