"""An erased person does not come back: not by an attempt that read before, not by a rebuild, a retry, a rollback, or an
older copy of Redis.
"""

import json
from typing import Any

import pytest

from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from orders.readmodels.orders_by_status import OrdersByStatus
from readmodels import (
    buckets,
    building,
    consistency,
    deadletters,
    filling,
    generations,
    isolation,
    models,
    outbox,
    snapshot,
    sweeping,
    switching,
    testing,
)
from readmodels.deadletters import Failure
from readmodels.declare import Document
from readmodels.errors import ReadModelError
from readmodels.store import Store
from readmodels.testing.attempt import Attempt
from tests import copies, scan
from tests.reading import body
from tests.rows import add_order
from users.commands import rename_user
from users.erasure import complete, erase_customer
from users.models import Erasure, User

EMAIL, NAME = "zuleika.unmistakable@example.com", "Zuleika Unmistakable-Quux"


@pytest.fixture
def zuleika(store: Store) -> User:
    """A customer with orders, all of it projected."""
    user = User.objects.create_user(EMAIL, name=NAME)
    for _ in range(3):
        add_order(user)
    testing.drain(store)
    return user


def erase(user: User) -> Erasure:
    return complete(erase_customer(user_id=user.pk))


def held(store: Store) -> list[str]:
    return scan.in_redis(store._client, EMAIL, NAME)


def generation(read_model: type[Document], number: int | None = None) -> generations.Generation:
    with snapshot.reading() as (cursor, _):
        found = [each for each in generations.every(cursor) if each.plan.name == read_model.__name__]
    return next(each for each in found if number in (None, each.number))


def late(store: Store) -> Attempt:
    """A projector that has read, and does not go on yet."""
    attempt = Attempt(store)
    attempt.begin()
    attempt.read()
    assert NAME in str(attempt.batch.writes)
    return attempt


def go_on(attempt: Attempt) -> None:
    attempt.write()
    attempt.acknowledge()
    attempt.expand()


# Late attempts


def test_attempt_that_read_before_brings_nothing_back(store, zuleika):
    rename_user(user_id=zuleika.pk, name=f"{NAME} II")
    attempt = late(store)
    assert erase(zuleika).is_verified
    go_on(attempt)
    assert held(store) == []
    testing.drain(store)
    assert held(store) == []
    testing.assert_law(store)


def test_attempt_at_a_document_that_was_never_stored_brings_nothing_back(store, zuleika):
    order = add_order(zuleika)
    attempt = late(store)
    assert erase(zuleika).is_verified
    go_on(attempt)
    assert held(store) == []
    assert body(store, OrderDetail, order.pk)["customer"]["name"] == "Erased user"


@pytest.mark.parametrize("state", ["broken", "over", "cancelled"])
@pytest.mark.parametrize("read_model", [OrderDetail, OrdersByStatus])
def test_attempt_brings_nothing_back_into_a_generation_given_up_meanwhile(store, zuleika, state, read_model):
    switching.begin(read_model.__name__)
    add_order(zuleika)
    attempt = late(store)
    rows = models.Generation.objects.filter(read_model=read_model.__name__, state="building")
    generations.give_up(rows, models.GenerationState(state))
    assert erase(zuleika).is_verified
    go_on(attempt)
    assert held(store) == []


def test_attempt_that_was_killed_amid_its_writes_is_made_up_for(store, zuleika):
    rename_user(user_id=zuleika.pk, name=f"{NAME} II")
    attempt = late(store)
    attempt.write()
    assert erase(zuleika).is_verified
    assert held(store) == []


def test_fan_out_that_was_under_way_brings_nothing_back(store, zuleika, configured):
    configured(FAN_OUT_DOCUMENTS=1)
    rename_user(user_id=zuleika.pk, name=f"{NAME} II")
    first = late(store)
    go_on(first)
    second = Attempt(store)
    second.read()
    assert erase(zuleika).is_verified
    go_on(second)
    testing.drain(store)
    assert held(store) == []
    testing.assert_law(store)


# Rebuilds


def test_rebuild_that_read_before_brings_nothing_back(store, zuleika):
    switching.begin("OrderDetail")
    built = generation(OrderDetail, models.Generation.objects.get(read_model="OrderDetail", state="building").number)
    started_ms = store.now_ms()
    with snapshot.reading() as (cursor, now):
        roots = building.roots_between(cursor, built.plan, None, None, 500)
        writes = building.root_builds(cursor, built, roots)
    assert NAME in str(writes)
    assert erase(zuleika).is_verified
    store.apply(consistency.attempt(started_ms, now, buckets.now().markers), writes)
    assert held(store) == []
    testing.drain(store)
    testing.assert_law(store)


def test_rebuild_that_was_half_done_has_nothing_left(store, zuleika, configured):
    configured(BATCH_ROWS=1)
    switching.begin("OrderDetail")
    built = generation(OrderDetail, models.Generation.objects.get(read_model="OrderDetail", state="building").number)
    first, second, _ = Order.objects.order_by("pk")
    filling.fill(store, built, range(256), lambda rows: None, None, str(second.pk))
    assert [key for key in held(store) if f":OrderDetail:{built.number}:" in key]
    assert erase(zuleika).is_verified
    assert held(store) == []
    testing.drain(store)
    assert body(store, OrderDetail, first.pk)["customer"]["name"] == "Erased user"


def test_rollback_shows_nobody_again(store, zuleika):
    switching.begin("OrderDetail")
    models.Generation.objects.filter(read_model="OrderDetail", state="building").update(fingerprint="another")
    testing.drain(store)
    assert erase(zuleika).is_verified
    assert models.Generation.objects.filter(read_model="OrderDetail", state="retired").exists()
    switching.rollback(store, "OrderDetail")
    order = zuleika.orders.first()
    assert body(store, OrderDetail, order.pk)["customer"]["name"] == "Erased user"


# Dead letters


def test_retried_dead_letter_brings_nothing_back(store, zuleika):
    order = zuleika.orders.first()
    failure = Failure("OrderDetail", generation(OrderDetail).number, "orders_order", str(order.pk), None, [1], NAME, "")
    deadletters.park([failure], attempts=5)
    assert erase(zuleika).is_verified
    [letter] = deadletters.listed()
    assert NAME not in letter.error + letter.traceback
    deadletters.retry(letter.id)
    testing.drain(store)
    assert held(store) == []


def test_what_fails_late_is_parked_without_what_it_says(store, zuleika):
    """An attempt that read before the erasure parks its error after."""
    order = zuleika.orders.first()
    with snapshot.reading() as (cursor, before):
        current = generations.current(cursor)
    assert erase(zuleika).is_verified
    built = next(each for each in current if each.plan.name == "OrderDetail")
    failure = isolation.failure(built, str(order.pk), json.dumps({"name": NAME}), [1], ValueError(f"{EMAIL} of {NAME}"))
    deadletters.park([failure], 5, before)
    assert scan.in_postgresql(EMAIL, NAME) == []
    [letter] = deadletters.listed()
    assert letter.error == "ValueError: erased with a person"
    with snapshot.reading() as (_, after):
        pass
    deadletters.park([failure], 5, after)
    assert deadletters.listed()[0].error == f"ValueError: *** of {NAME}"


def test_what_fails_late_while_filling_is_parked_without_what_it_says(store, zuleika, configured, monkeypatch):
    configured(BATCH_ROWS=1)
    built = generation(OrderDetail)

    parks = filling._park_next

    def fails(*args: object) -> None:
        raise ValueError(f"{EMAIL} of {NAME}")

    def parks_late(*args: Any) -> str | None:
        monkeypatch.undo()
        erase(zuleika)
        return parks(*args)

    monkeypatch.setattr(building, "root_builds", fails)
    monkeypatch.setattr(filling, "_park_next", parks_late)
    filling.fill(store, built, range(256), lambda rows: None)
    assert [letter.error for letter in deadletters.listed()] == ["ValueError: erased with a person"]
    assert scan.in_postgresql(EMAIL, NAME) == []


# Redis of before


def settle(store: Store) -> None:
    """As the sweeps of some seconds would."""
    for _ in range(5):
        try:
            testing.drain(store)
        except ReadModelError:
            continue
    sweeping.publish_progress(store)


def test_redis_of_before_is_filled_anew(store, zuleika):
    """Though what was acknowledged since says no more where the person's documents lay."""
    store._client.set("rm:{b007}:OrderDetail:99:1", f"left by somebody's hand: {EMAIL}")
    sweeping.beat(store)
    older = copies.taken(store._client)
    assert erase(zuleika).is_verified
    testing.drain(store)
    sweeping.beat(store)
    copies.put(older, store._client)
    settle(store)
    assert held(store) == []
    testing.assert_law(store)


def test_redis_of_after_is_made_up_for_as_ever(store, zuleika):
    erase(zuleika)
    testing.drain(store)
    sweeping.beat(store)
    older = copies.taken(store._client)
    other = add_order(User.objects.create_user("other@example.com", name="Other"))
    testing.drain(store)
    sweeping.beat(store)
    copies.put(older, store._client)
    markers = store.markers()
    settle(store)
    assert body(store, OrderDetail, other.pk)
    assert store.markers() == markers


def test_nothing_is_acknowledged_of_what_was_not_done(store, zuleika):
    """The erasure settles what it touches; changes stay pending until a projector has seen them, tokens with them."""
    erase(zuleika)
    assert outbox.backlog_rows() == 1
