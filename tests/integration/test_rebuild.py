"""Loss heals beside the writes, and no wrong answer is given meanwhile."""

import random
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from django.db.models import F

from orders.models import Order, Product
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.product_card import ProductCard
from readmodels import (
    buckets,
    building,
    generations,
    keys,
    models,
    outbox,
    projector,
    rebuild,
    sweeping,
    testing,
)
from readmodels.errors import ReadModelError, StoreLost, StoreUnavailable
from readmodels.generations import Generation
from readmodels.query import Reader
from readmodels.store import Store
from tests.reading import body
from tests.rows import add_line, add_order, add_product, add_user
from tests.threads import at_once
from users.models import User
from users.readmodels.user_profile import UserProfile


def empty_redis(store: Store) -> None:
    store._client.flushall()


# Redis emptied


def reads(reader: Reader) -> list[Callable[[], object]]:
    return [
        lambda: reader.document(UserProfile, 1),
        lambda: reader.documents(UserProfile, [1, 2]),
        lambda: reader.page(CustomerOrders, 1),
        lambda: reader.measures(CustomerOrders, [1]),
    ]


def test_emptied_redis_is_never_read_as_no_document(store):
    user = add_user()
    testing.drain(store)
    reader = Reader(store)
    assert reader.document(UserProfile, user.pk).body
    empty_redis(store)
    for read in [*reads(reader), *reads(Reader(store))]:
        with pytest.raises(StoreUnavailable):
            read()


def test_half_filled_bucket_is_never_read(store):
    add_order(add_user())
    testing.drain(store)
    reader = Reader(store)
    assert reader.document(UserProfile, 1).body
    empty_redis(store)
    seen: list[type[Exception]] = []

    def read_all(name: str, rows: int) -> None:
        for read in reads(reader):
            with pytest.raises(StoreUnavailable) as caught:
                read()
            seen.append(caught.type)

    rebuild.repair(store, on_range=read_all)
    assert seen


# Emptying takes progress away first, and then a partition's keys in any order.
@pytest.mark.parametrize("gone", [["progress", "rows"], ["progress", "index"], ["progress", "measures"], ["rows"]])
def test_partition_in_parts_is_never_read(store, gone):
    order = add_order(add_user())
    testing.drain(store)
    number = models.Generation.objects.get(read_model="CustomerOrders", state="live").number
    parts = keys.partition("CustomerOrders", number, str(order.customer_id))
    names = {"progress": keys.progress(parts.bucket), **asdict(parts)}
    store._client.delete(*(names[part] for part in gone))
    with pytest.raises(StoreLost):
        Reader(store).page(CustomerOrders, order.customer_id)


def test_emptied_redis_is_filled_by_one_sweep(store):
    customer = add_user()
    for _ in range(3):
        add_line(add_order(customer), add_product())
    testing.drain(store)
    empty_redis(store)
    testing.drain(store)
    testing.assert_law(store)
    assert len(Reader(store).page(CustomerOrders, customer.pk).rows) == 3
    assert not rebuild.is_due(store)


def test_emptied_redis_is_filled_range_by_range(store, configured):
    """Of more rows than one range has; as text their keys have another order."""
    configured(BATCH_ROWS=2, RANGE_BATCHES=1)
    for _ in range(12):
        add_user()
    testing.drain(store)
    empty_redis(store)
    testing.drain(store)
    testing.assert_law(store)


def test_lost_bucket_leaves_the_others_readable(store):
    users = [add_user() for _ in range(5)]
    testing.drain(store)
    lost = keys.bucket_of("UserProfile", str(users[0].pk))
    store._client.delete(*store._client.keys(f"{keys.tag(lost).replace('{', '[{]')}*"))
    reader = Reader(store)
    assert reader.document(UserProfile, users[1].pk).body
    with pytest.raises(StoreUnavailable):
        reader.document(UserProfile, users[0].pk)
    testing.drain(store)
    testing.assert_law(store)
    assert reader.document(UserProfile, users[0].pk).body


def test_writes_to_a_lost_bucket_stay_pending(store):
    product = add_product()
    testing.drain(store)
    empty_redis(store)
    Product.objects.update(name="Pear")
    with pytest.raises(StoreUnavailable):
        projector.project(store, range(outbox.SHARDS))
    assert outbox.backlog_rows() == 1
    testing.drain(store)
    assert body(store, ProductCard, product.sku)["name"] == "Pear"


def test_bucket_of_another_time_is_filled_anew(store):
    """As after a fail-over to a copy from before the bucket's last loss: it is there, but not the one expected."""
    product = add_product()
    testing.drain(store)
    bucket = keys.bucket_of("ProductCard", product.sku)
    store._client.set(keys.marker(bucket), "another time")
    product.delete()
    with pytest.raises(StoreUnavailable):
        projector.project(store, range(outbox.SHARDS))
    testing.drain(store)
    testing.assert_law(store)
    assert body(store, ProductCard, product.sku) is None


def test_interrupted_repair_is_taken_up(store):
    for _ in range(3):
        add_order(add_user())
    testing.drain(store)
    empty_redis(store)

    def die(name: str, rows: int) -> None:
        if name == "OrderDetail":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rebuild.repair(store, on_range=die)
    with pytest.raises(StoreUnavailable):
        Reader(store).document(UserProfile, 1)
    testing.drain(store)
    testing.assert_law(store)


def test_second_repair_leaves_the_first_alone(store):
    add_user()
    testing.drain(store)
    empty_redis(store)
    outcomes: list[bool] = []
    rebuild.repair(store, on_range=lambda name, rows: outcomes.append(rebuild.repair(store)))
    assert set(outcomes) == {False}
    testing.drain(store)
    testing.assert_law(store)


def test_nothing_lost_needs_no_repair(store):
    add_order(add_user())
    testing.drain(store)
    assert not rebuild.is_due(store)


# Beside the writes


def test_repair_beside_writers_ends_right(projecting):
    store = projecting
    customers = [add_user() for _ in range(4)]
    products = [add_product(stock=1000) for _ in range(4)]
    for number in range(40):
        add_line(add_order(customers[number % 4]), products[number % 4])

    def write(seed: int) -> Callable[[], None]:
        chance = random.Random(seed)

        def run() -> None:
            for _ in range(40):
                order = Order.objects.filter(pk=chance.randint(1, 40)).first()
                if order is None:
                    continue
                if chance.random() < 0.2:
                    order.delete()
                elif chance.random() < 0.5:
                    Order.objects.filter(pk=order.pk).update(customer=chance.choice([*customers, None]))
                else:
                    Order.objects.filter(pk=order.pk).update(status="paid", total_cents=F("total_cents") + 1)
                User.objects.filter(pk=chance.choice(customers).pk).update(name=f"Name {chance.random()}")

        return run

    def lose_and_repair() -> None:
        for _ in range(4):
            empty_redis(store)
            settle(store)

    outcomes = at_once(write(1), write(2), lose_and_repair)
    assert outcomes == [None, None, None]
    settle(store)
    testing.assert_law(store)


def settle(store: Store) -> None:
    """There was a moment in which nothing was pending or lost; others may be at work besides."""
    for _ in range(1000):
        try:
            testing.drain(store)
            if not outbox.backlog_rows() and not rebuild.is_due(store):
                return
        except ReadModelError:
            continue
    pytest.fail("it never settled")


@pytest.mark.parametrize("read_model", ["ProductCard", "CustomerOrders"])
def test_row_deleted_during_the_fill_stays_deleted(store, monkeypatch, read_model):
    """The fill reads the row, the deletion is projected, then the fill writes what it read."""
    order, product = add_order(customer := add_user()), add_product()
    testing.drain(store)
    empty_redis(store)
    read_range = building.root_builds

    def read_then_delete(cursor: Any, generation: Generation, roots: Any) -> Any:
        found = read_range(cursor, generation, roots)
        if generation.plan.name == read_model:
            at_once(delete_and_project)
        return found

    def delete_and_project() -> None:
        Order.objects.filter(pk=order.pk).delete()
        Product.objects.filter(pk=product.pk).delete()
        projector.project(store, range(outbox.SHARDS))

    monkeypatch.setattr(building, "root_builds", read_then_delete)
    rebuild.repair(store)
    monkeypatch.undo()
    sweeping.publish_progress(store)
    assert body(store, ProductCard, product.sku) is None
    assert Reader(store).page(CustomerOrders, customer.pk).rows == []
    testing.assert_law(store)


# The first start


def test_sweep_before_the_first_repair_says_so(store):
    models.Bucket.objects.all().delete()
    empty_redis(store)
    generations.deploy()
    assert len(buckets.now().markers) == keys.BUCKETS
    add_user()
    with pytest.raises(StoreUnavailable):
        sweeping.sweep(store, ask_for_repair=lambda: None, ask_for_bulk=lambda: None)
    testing.drain(store)
    testing.assert_law(store)
