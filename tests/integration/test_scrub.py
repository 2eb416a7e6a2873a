"""The scrub compares all that is stored, a stretch at a time, and mends what differs; beside writers and repairs."""

from collections import Counter

import pytest

from readmodels import buckets, models, scrub, tasks, testing, walking
from readmodels.models import Scrub
from tests.damage import at, corrupt, customers, live, rows_of, stalling
from tests.faults.writers import Writers
from tests.reading import body
from tests.rounds import go_round
from tests.rows import add_line, add_order, add_product, add_user
from tests.threads import at_once
from users.readmodels.user_profile import UserProfile


def test_scrub_goes_round_and_mends(store):
    customer = add_user()
    for _ in range(5):
        add_line(add_order(customer), add_product())
    testing.drain(store)
    corrupt(store, customer.pk)
    store._client.hdel(at(customer.pk).rows, rows_of(store, customer.pk)[0])
    mended: Counter[str] = Counter()
    for step in go_round(store):
        mended[step.read_model] += step.mended
    assert +mended == {"UserProfile": 1, "CustomerOrders": 2}
    testing.assert_law(store)
    go_round(store)
    assert {each.found for each in scrub.verified_as_of()} == {0}


def test_scrub_remembers_over_restarts(store):
    """Each step stands alone: what one process begins, another ends, and no row is looked at twice in a round."""
    for _ in range(7):
        add_user()
    testing.drain(store)
    steps = [step for step in go_round(store) if step.read_model == "UserProfile"]
    assert (sum(step.compared for step in steps), len(steps)) == (7, pytest.approx(8, abs=4))
    assert all(step.compared <= 2 for step in steps)


def test_what_differs_is_remembered_until_it_is_judged(store):
    user = add_user()
    testing.drain(store)
    corrupt(store, user.pk)
    steps = [step for step in go_round(store) if step.read_model == "UserProfile"]
    assert [step.stale for step in steps if step.stale] == [[str(user.pk)]]
    assert not steps[0].stale, "one look was enough"
    assert {each.read_model: each.found for each in scrub.verified_as_of()}["UserProfile"] == 1


def test_scrub_beside_writers_finds_nothing_that_is_not_there(store, monkeypatch):
    written = customers(6)
    testing.drain(store)
    with stalling(store, monkeypatch), Writers(written, seed=5, pause_seconds=0.002):
        steps = [scrub.step(store, 10) for _ in range(150)]
    assert not any(step.total for step in steps if step), [step for step in steps if step and step.total]
    assert sum(step.compared for step in steps if step) > 50


def test_nothing_is_verified_before_a_round_has_ended(store):
    add_user()
    testing.drain(store)
    assert {each.verified_as_of for each in scrub.verified_as_of()} == {None}
    scrub.step(store)
    assert {each.verified_as_of for each in scrub.verified_as_of()} == {None}


def test_scrub_in_two_processes_takes_turns(store, monkeypatch):
    add_user()
    testing.drain(store)
    stretch = walking.stretch
    beside: list[object] = []

    def at_the_same_time(*given):
        beside.extend(at_once(lambda: scrub.step(store)))
        return stretch(*given)

    monkeypatch.setattr(walking, "stretch", at_the_same_time)
    scrub.step(store)
    assert beside == [None]


def test_another_redis_begins_the_round_anew(store):
    for _ in range(5):
        add_user()
    testing.drain(store)
    first = live("UserProfile").id
    while not Scrub.objects.filter(pk=first, position__after__isnull=False).exists():
        scrub.step(store, 2)
    Scrub.objects.update(store_id="another")
    began = Scrub.objects.get(pk=first).began_at
    go_round(store)
    assert Scrub.objects.get(pk=first).verified_as_of > began
    assert buckets.now().filled


def test_nothing_is_compared_while_no_redis_is_trusted(store):
    add_user()
    testing.drain(store)
    models.Heartbeat.objects.update(store_id="")
    assert scrub.step(store) is None
    assert not Scrub.objects.exists()


def test_repair_gives_the_scrub_its_turn(store, configured, monkeypatch):
    monkeypatch.setattr(tasks, "SCRUB_SECONDS", 0.0)
    for _ in range(3):
        add_user()
    testing.drain(store)
    store._client.flushall()
    configured(batch_rows=1)
    assert tasks.repair()
    assert Scrub.objects.filter(stepped_at__isnull=False).count() > 1


def test_scrub_that_fails_stops_no_repair(store, monkeypatch):
    monkeypatch.setattr(tasks, "SCRUB_SECONDS", 0.0)
    monkeypatch.setattr(scrub, "step", lambda store: 1 / 0)
    user = add_user()
    testing.drain(store)
    store._client.flushall()
    assert tasks.repair()
    assert body(store, UserProfile, user.pk)
