"""Chores: what apps want done now and then is done in turns, by one process at a time; a failing one stops no other."""

import threading
from uuid import uuid4

import pytest

from project.child import wait_until
from readmodels import chores
from readmodels import connection as redis_connection
from readmodels.relay import Relay
from readmodels.store import Store


@pytest.fixture
def register(store):
    """Call it with a step to have a chore until the test ends; returns its name."""
    names = []

    def register(step, every_seconds=3600):
        names.append(f"test.{uuid4()}")  # the lease of one of this name would still run
        chores.register(names[-1], step, every_seconds)
        return names[-1]

    yield register
    for name in names:
        chores.forget(name)


def forget_leases():
    """As if the time were up."""
    redis_connection.read_models().delete(*redis_connection.read_models().keys("*chore:*"))


def test_chore_is_done_and_not_again_before_it_is_due(store, register):
    done = []
    name = register(lambda: done.append(1))
    assert name in chores.do_due(store)
    assert name not in chores.do_due(store)
    [lease] = [key for key in redis_connection.read_models().keys("*chore:*") if name.encode() in key]
    assert 3500 < redis_connection.read_models().ttl(lease) <= 3600
    forget_leases()
    assert name in chores.do_due(store)
    assert len(done) == 2


def test_chore_with_more_to_do_goes_on(store, register):
    left = [3, 2, 1]
    register(lambda: left.pop() and left)
    chores.do_due(store)
    assert left == []


def test_chore_that_never_ends_lets_others_have_their_turn_and_is_due_at_once(store, register, monkeypatch):
    monkeypatch.setattr(chores, "TURN_SECONDS", 0)
    endless, other = register(lambda: True), register(lambda: None)
    assert {endless, other} <= set(chores.do_due(store))
    again = chores.do_due(store)
    assert endless in again
    assert other not in again


def test_chore_that_fails_stops_no_other_and_is_tried_when_due(store, register):
    done = []
    failing, other = register(lambda: 1 / 0), register(lambda: done.append(1))
    assert {failing, other} <= set(chores.do_due(store))
    assert done == [1]
    assert failing not in chores.do_due(store)


def test_chore_is_done_by_one_process_at_a_time(store, register):
    inner = []
    name = register(lambda: inner.extend(chores.do_due(Store())))
    assert name in chores.do_due(store)
    assert name not in inner


def test_nothing_is_begun_once_it_is_time_to_end(store, register):
    register(lambda: pytest.fail("begun"))
    assert chores.do_due(store, may_go_on=lambda: False) == []


def test_name_is_taken_once(register):
    name = register(lambda: None)
    with pytest.raises(ValueError, match="registered already"):
        chores.register(name, lambda: None, 1)


def test_wrong_interval_is_refused(store):
    with pytest.raises(ValueError, match="accepted: a whole number above 0"):
        chores.register("test.wrong", lambda: None, 0)


def test_relay_does_chores_and_ends_between_two_steps(store, register):
    done = threading.Event()

    def step():
        done.set()
        return True

    register(step)
    relay = Relay()
    relay.start()
    assert done.wait(30)
    assert relay.end() == []
    assert wait_until(lambda: "relay-chores" not in {thread.name for thread in threading.enumerate()}, 30)
