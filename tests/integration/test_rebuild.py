"""Loss heals and new declarations are built, beside the writes and without a wrong answer meanwhile."""

import json
import random
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import ExtractYear

from orders.models import Order, OrderLine, Product
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.product_card import ProductCard
from readmodels import (
    buckets,
    building,
    declare,
    generations,
    keys,
    models,
    outbox,
    projector,
    rebuild,
    sweeping,
    testing,
)
from readmodels.declare import Collection, Document, ReadModel
from readmodels.errors import ReadModelError, StoreUnavailable
from readmodels.query import Reader
from readmodels.store import Store
from tests.rows import add_line, add_order, add_product, add_user
from tests.threads import at_once
from users.models import User
from users.readmodels.user_profile import UserProfile


@pytest.fixture
def declaring(store: Store) -> Iterator[Callable[..., Any]]:
    """Declares a read model for the test's time; a second one of the same name takes the place of the first."""

    def declared(kind: type[ReadModel], **attributes: Any) -> Any:
        declare.forget("Throwaway")
        return type("Throwaway", (kind,), attributes)

    yield declared
    declare.forget("Throwaway")
    models.Generation.objects.filter(read_model="Throwaway").delete()
    generations.deploy()


def empty_redis(store: Store) -> None:
    store._client.flushall()


def number_of(name: str) -> int:
    return models.Generation.objects.get(read_model=name, state="live").number


def stored_keys(store: Store, read_model: str, generation: int) -> int:
    return sum(1 for _ in store._client.scan_iter(match=keys.pattern(read_model, generation), count=10_000))


def body(store: Store, of: type[Document], key: Any) -> Any:
    found = Reader(store).document(of, key).body
    return found and json.loads(found)


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


def test_row_deleted_during_the_fill_stays_deleted(store, monkeypatch):
    """The fill reads the row, the deletion is projected, then the fill writes what it read."""
    order, product = add_order(customer := add_user()), add_product()
    testing.drain(store)
    empty_redis(store)
    read_range = building.range_writes

    def read_then_delete(*args: Any) -> Any:
        found = read_range(*args)
        thread = threading.Thread(target=delete_and_project)
        thread.start()
        thread.join()
        return found

    def delete_and_project() -> None:
        Order.objects.filter(pk=order.pk).delete()
        Product.objects.filter(pk=product.pk).delete()
        projector.project(store, range(outbox.SHARDS))
        connection.close()

    monkeypatch.setattr(building, "range_writes", read_then_delete)
    rebuild.repair(store)
    monkeypatch.undo()
    testing.drain(store)
    assert body(store, ProductCard, product.sku) is None
    assert Reader(store).page(CustomerOrders, customer.pk).rows == []
    testing.assert_law(store)


# Declarations that are new or changed


def test_new_declaration_is_built_from_existing_rows(store, declaring):
    user = add_user(name="Ada")
    testing.drain(store)
    before = generations.pointers()
    initial = declaring(Document, root=User, body={"name": F("name")})
    assert generations.deploy() == ["Throwaway"]
    with pytest.raises(StoreUnavailable):
        Reader(store).document(initial, user.pk)
    testing.drain(store)
    testing.assert_law(store)
    assert body(store, initial, user.pk) == {"name": "Ada"}
    assert {name: number for name, number in generations.pointers().items() if "Throwaway" not in name} == before


def test_second_deployment_changes_nothing(store):
    assert generations.deploy() == []


def test_changed_declaration_is_built_beside_the_old(store, declaring):
    user = add_user(name="Ada", country="UK")
    old = declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    assert body(store, old, user.pk) == {"name": "Ada"}
    first = number_of("Throwaway")

    new = declaring(Document, root=User, body={"name": F("name"), "country": F("country")})
    assert generations.deploy() == ["Throwaway"]
    served: list[Any] = []
    rebuild.repair(store, on_range=lambda name, rows: served.append(body(store, new, user.pk)))
    assert served == [{"name": "Ada"}]  # until the switch
    assert body(store, new, user.pk) == {"name": "Ada", "country": "UK"}
    assert number_of("Throwaway") == first + 1


def test_generation_switched_away_from_is_kept_for_readers_then_dropped(store, declaring):
    user = add_user(name="Ada")
    old = declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    stopped = Reader(store, clock=lambda: 0.0)  # holds its pointers for ever
    assert json.loads(stopped.document(old, user.pk).body) == {"name": "Ada"}
    first = number_of("Throwaway")

    declaring(Document, root=User, body={"called": F("name")})
    generations.deploy()
    testing.drain(store)
    User.objects.update(name="Countess")
    testing.drain(store)
    assert json.loads(stopped.document(old, user.pk).body) == {"name": "Countess"}

    models.Generation.objects.filter(state="retired").update(retired_at=F("retired_at") - timedelta(hours=1))
    assert rebuild.is_due(store)
    testing.drain(store)
    assert stored_keys(store, "Throwaway", first) == 0
    assert not models.Generation.objects.filter(state="retired").exists()
    testing.assert_law(store)


def test_change_while_a_generation_is_built_is_in_it(store, declaring):
    user = add_user(name="Ada")
    testing.drain(store)
    new = declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    User.objects.update(name="Countess")
    projector.project(store, range(outbox.SHARDS))
    rebuild.repair(store)
    sweeping.publish_progress(store)
    assert body(store, new, user.pk) == {"name": "Countess"}


def test_truncation_while_a_generation_is_built_leaves_nothing(store, declaring):
    new = declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    new = declaring(Document, root=User, body={"called": F("name")})
    generations.deploy()
    user = add_user(name="Ada")
    projector.project(store, range(outbox.SHARDS))
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE users_user CASCADE")
    testing.drain(store)
    testing.assert_law(store)
    assert body(store, new, user.pk) is None
    add_user(name="Bob")
    testing.drain(store)
    assert body(store, new, User.objects.get().pk) == {"called": "Bob"}


def test_triggers_follow_the_declarations(store, declaring):
    add_user()
    testing.drain(store)
    declaring(Document, root=User, body={"password": F("password")})
    generations.deploy()
    testing.drain(store)
    User.objects.update(password="x")
    assert outbox.backlog_rows() == 1
    testing.drain(store)
    testing.assert_law(store)


# What the check accepts is served exactly


ODD = {
    "a year as partition": {"root": Order, "partition_by": ExtractYear("placed_at"), "order_by": F("id")},
    "a foreign key as order": {"root": Order, "partition_by": F("status"), "order_by": F("customer").desc()},
    "a filter elsewhere": {
        "root": Order,
        "partition_by": F("status"),
        "order_by": F("id"),
        "filter_by": ("customer__country", "currency"),
    },
    "a condition elsewhere": {
        "root": Order,
        "partition_by": F("status"),
        "order_by": F("id"),
        "where": Q(customer__name__contains="%"),
    },
    "lines by name of product": {"root": OrderLine, "partition_by": F("order_id"), "order_by": F("product__name")},
}


@pytest.mark.parametrize("attributes", ODD.values(), ids=ODD)
def test_odd_collection_obeys_the_law(store, declaring, attributes):
    declaring(Collection, **attributes, body={"id": F("id")}, measures={"n": declare.Count()})
    generations.deploy()
    customers = [add_user(name="100 %", country="UK"), add_user()]
    for number in range(6):
        add_line(add_order(customers[number % 2] if number else None), add_product())
    testing.drain(store)
    testing.assert_law(store)
    User.objects.update(name="Other", country="F/R=&|")
    Order.objects.filter(pk__lt=4).update(placed_at=F("placed_at") - timedelta(days=400), customer=customers[1])
    OrderLine.objects.filter(pk=2).update(order_id=5, position=9)
    Order.objects.filter(pk=1).update(status="paid", customer=None)
    OrderLine.objects.filter(order_id=6).delete()
    Order.objects.filter(pk=6).delete()
    testing.drain(store)
    testing.assert_law(store)


def test_order_of_the_model_itself_does_not_matter(store, declaring):
    """Permission's own ordering joins another table, which a record of the row before does not have."""
    declaring(Collection, root=Permission, partition_by=F("content_type"), order_by=F("codename"), body={"id": F("id")})
    generations.deploy()
    testing.drain(store)
    permission = Permission.objects.order_by("pk").first()
    before = permission.content_type_id
    try:
        Permission.objects.filter(pk=permission.pk).update(content_type=Permission.objects.last().content_type_id)
        testing.drain(store)
        testing.assert_law(store)
    finally:
        Permission.objects.filter(pk=permission.pk).update(content_type=before)


# The epoch


def test_crash_of_postgresql_raises_the_epoch_by_one(store):
    user = add_user(name="Ada")
    testing.drain(store)
    before = Reader(store).document(UserProfile, user.pk).version
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM readmodels_witness")  # what a crash recovery does to an UNLOGGED table
    epoch = models.Clock.objects.get().epoch
    User.objects.update(name="Countess")
    testing.drain(store)
    assert models.Clock.objects.get().epoch == epoch + 1 == store.epoch()
    found = Reader(store).document(UserProfile, user.pk)
    assert json.loads(found.body)["name"] == "Countess"
    assert found.version > before
    testing.assert_law(store)


def test_epoch_stays_where_nothing_happened(store):
    epoch = models.Clock.objects.get().epoch
    for _ in range(3):
        add_user()
        testing.drain(store)
    assert models.Clock.objects.get().epoch == epoch


def test_projector_of_the_last_epoch_is_refused(store):
    user = add_user(name="Ada")
    testing.drain(store)
    User.objects.update(name="Late")
    late = projector.read(store, range(outbox.SHARDS))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM readmodels_witness")
    User.objects.update(name="Countess")
    testing.drain(store)
    with pytest.raises(ReadModelError):
        projector.write(store, late)
    with pytest.raises(ReadModelError):
        projector.acknowledge(late)
    assert body(store, UserProfile, user.pk)["name"] == "Countess"


def test_store_of_a_higher_epoch_is_caught_up_with(store):
    """As after PostgreSQL was set back to an older copy that looks like the same server."""
    user = add_user(name="Ada")
    testing.drain(store)
    epoch = models.Clock.objects.get().epoch
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM readmodels_witness")
    User.objects.update(name="Bea")
    testing.drain(store)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE readmodels_clock SET epoch = %s", [epoch])
        cursor.execute("UPDATE readmodels_witness SET epoch = %s", [epoch])
    User.objects.update(name="Countess")
    testing.drain(store)
    assert models.Clock.objects.get().epoch == epoch + 2
    assert body(store, UserProfile, user.pk)["name"] == "Countess"


# The first start


def test_sweep_before_the_first_repair_says_so(store):
    models.Bucket.objects.all().delete()
    empty_redis(store)
    generations.deploy()
    assert len(buckets.now().markers) == keys.BUCKETS
    add_user()
    with pytest.raises(StoreUnavailable):
        sweeping.sweep(store, ask_for_repair=lambda: None)
    testing.drain(store)
    testing.assert_law(store)
