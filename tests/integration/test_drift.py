"""Drift is found exactly, beside live writes too, and mended under the version guard."""

from collections.abc import Callable

import pytest
from django.db.models import F, Value

from orders.models import Order, Product
from orders.readmodels.customer_orders import CustomerOrders
from readmodels import (
    deadletters,
    declare,
    drift,
    generations,
    isolation,
    keys,
    mending,
    models,
    outbox,
    projector,
    rebuild,
    stored,
    suspects,
    testing,
    walking,
)
from readmodels.declare import Document
from readmodels.errors import ReadModelError
from readmodels.models import DeadLetter
from readmodels.query import Reader
from readmodels.store import Store
from readmodels.stored import Stored
from tests.damage import at, corrupt, customers, key_of, live, plant, rows_of, stalling
from tests.faults.writers import Writers
from tests.reading import body
from tests.rows import add_line, add_order, add_product, add_user
from tests.threads import at_once
from users.models import User
from users.readmodels.user_profile import UserProfile

KINDS = ("missing", "stale", "orphan", "uneven")


def audit(store: Store, name: str, **options) -> drift.Drift:
    return drift.audit(store, live(name), **options)


def found_in(found: drift.Drift) -> dict[str, list[str]]:
    return {kind: sorted(getattr(found, kind)) for kind in KINDS if getattr(found, kind)}


# At rest


def test_nothing_differs_at_rest(store):
    customer = add_user()
    for _ in range(3):
        add_line(add_order(customer), add_product())
    testing.drain(store)
    testing.assert_law(store)
    assert sum(found.compared for found in drift.verify(store)) == 1 + 2 * 3 + 3 * 4


def test_missing_stale_and_orphan_are_told_apart_and_mended(store):
    wrong, gone, fine = (add_user() for _ in range(3))
    testing.drain(store)
    corrupt(store, wrong.pk)
    store._client.delete(key_of(gone.pk))
    plant(store, 999, like=fine.pk)
    found = audit(store, "UserProfile", is_repairing=True)
    assert found_in(found) == {"missing": [str(gone.pk)], "stale": [str(wrong.pk)], "orphan": ["999"]}
    assert (found.mended, found.left) == (3, 0)
    testing.assert_law(store)
    assert body(store, UserProfile, wrong.pk)["name"] == wrong.name
    assert body(store, UserProfile, 999) is None


def test_nothing_is_taken_away_where_nobody_writes(store, monkeypatch):
    """What was mended last carries the version of the newest snapshot, and is mended again by an even newer one."""
    user = add_user()
    testing.drain(store)
    forgotten: list[object] = []
    forget = Stored.forget

    def noted(self, digests, *given):
        forgotten.extend(digests)
        forget(self, digests, *given)

    monkeypatch.setattr(Stored, "forget", noted)
    for _ in range(3):
        corrupt(store, user.pk)
        assert audit(store, "UserProfile", is_repairing=True).left == 0
    assert not forgotten
    testing.assert_law(store)


def test_finding_alone_mends_nothing(store):
    user = add_user()
    testing.drain(store)
    corrupt(store, user.pk)
    assert [audit(store, "UserProfile").left for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("value", [b"", b"garbage", b"99999999999999999999999999 1 1:1:\n{}", b"\xff\xfe\x00"])
def test_what_no_guarded_write_could_replace_is_mended(store, value):
    user = add_user()
    testing.drain(store)
    store._client.set(key_of(user.pk), value)
    assert audit(store, "UserProfile", is_repairing=True).left == 0
    testing.assert_law(store)


def test_orphan_whose_name_can_be_no_key_is_found(store):
    user = add_user()
    testing.drain(store)
    plant(store, "no number", like=user.pk)
    assert found_in(audit(store, "UserProfile", is_repairing=True)) == {"orphan": ["no number"]}
    testing.assert_law(store)


def test_document_found_by_another_key_than_its_rows_is_compared(store):
    product = add_product(sku="A/1")
    testing.drain(store)
    store._client.delete(keys.document("ProductCard", live("ProductCard").number, "A/1"))
    assert found_in(audit(store, "ProductCard", is_repairing=True)) == {"missing": [product.sku]}
    testing.assert_law(store)


# Collections


def corrupt_share(store: Store, customer: int) -> str:
    """The first row of a partition says that it adds something else."""
    row_id, row = sorted(store._client.hgetall(at(customer).rows).items())[0]
    store._client.hset(at(customer).rows, row_id, row.replace(b"\xa41000", b"\xa49000"))
    return row_id.decode()


CORRUPTIONS: dict[str, Callable[[Store, int], object]] = {
    "index entry gone": lambda store, of: store._client.zpopmin(at(of).index),
    "index entry too many": lambda store, of: store._client.zadd(at(of).index, {"\x00other\x01000": 0}),
    "index entry of another row": lambda store, of: (
        store._client.zpopmin(at(of).index),
        store._client.zadd(at(of).index, {"\x00other\x01000": 0}),
    ),
    "index gone": lambda store, of: store._client.delete(at(of).index),
    "measure wrong": lambda store, of: store._client.hincrby(at(of).measures, "|orders", 1),
    "measure no number": lambda store, of: store._client.hset(at(of).measures, "|orders", "many"),
    "measure too many": lambda store, of: store._client.hset(at(of).measures, "|other", 1),
    "measures gone": lambda store, of: store._client.delete(at(of).measures),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("most_rows", [stored.MOST_ROWS, 2], ids=["in one step", "in passes"])
def test_partition_that_is_not_what_its_rows_say_is_found_and_mended(store, monkeypatch, name, most_rows):
    monkeypatch.setattr(stored, "MOST_ROWS", most_rows)
    customer, other = add_user(), add_user()
    for _ in range(4):
        add_order(customer, status="paid")
    add_order(other)
    testing.drain(store)
    CORRUPTIONS[name](store, customer.pk)
    found = audit(store, "CustomerOrders", is_repairing=True)
    assert (found_in(found), found.left) == ({"uneven": [str(customer.pk)]}, 0)
    testing.assert_law(store)
    page = Reader(store).page(CustomerOrders, customer.pk)
    assert (len(page.rows), page.measures[""]) == (4, {"orders": 4, "spent_cents": 4000})


@pytest.mark.parametrize(
    "damage", [corrupt_share, lambda store, of: store._client.hdel(at(of).rows, *rows_of(store, of)[:1])]
)
def test_damaged_row_and_what_it_made_uneven_are_mended(store, damage):
    customer = add_user()
    for _ in range(3):
        add_order(customer, status="paid")
    testing.drain(store)
    damage(store, customer.pk)
    assert audit(store, "CustomerOrders", is_repairing=True).left == 0
    testing.assert_law(store)


def test_row_that_can_not_be_read_is_mended(store):
    customer = add_user()
    add_order(customer), add_order(customer)
    testing.drain(store)
    store._client.hset(at(customer.pk).rows, rows_of(store, customer.pk)[0], b"garbage")
    assert audit(store, "CustomerOrders", is_repairing=True).left == 0
    testing.assert_law(store)


def test_all_rows_gone_is_found_by_what_is_left(store):
    customer = add_user()
    order = add_order(customer)
    testing.drain(store)
    store._client.delete(at(customer.pk).rows)
    Order.objects.filter(pk=order.pk).delete()
    testing.drain(store)
    store._client.delete(at(customer.pk).rows)
    assert found_in(audit(store, "CustomerOrders", is_repairing=True)) == {"uneven": [str(customer.pk)]}
    assert not store._client.exists(at(customer.pk).index, at(customer.pk).measures)


def test_row_in_a_partition_that_it_left_is_an_orphan(store):
    customer, other = add_user(), add_user()
    order = add_order(customer)
    testing.drain(store)
    left = store._client.hgetall(at(customer.pk).rows)
    Order.objects.filter(pk=order.pk).update(customer=other)
    testing.drain(store)
    store._client.hset(at(customer.pk).rows, mapping=left)
    found = audit(store, "CustomerOrders", is_repairing=True)
    assert found_in(found)["orphan"] == [f"{customer.pk}/{order.pk:019d}"]
    testing.assert_law(store)


# Beside live writes


def test_nothing_is_found_where_there_is_nothing_however_late_the_projector(store, monkeypatch):
    written = customers(8)
    testing.drain(store)
    looked: list[drift.Drift] = []
    first_looks: list[int] = []
    look = suspects.suspects

    def counted(*given):
        made = look(*given)
        first_looks.append(len(made.seals))
        return made

    monkeypatch.setattr(walking, "suspects", counted)
    with stalling(store, monkeypatch), Writers(written, seed=3, count=2, pause_seconds=0.01) as writers:
        for _ in range(5):
            for name in generations.pointers():
                if "/" not in name:
                    looked.append(audit(store, name, wait_seconds=1.0))
        writers.go_on(1)
    assert not any(found.total for found in looked), looked
    assert sum(first_looks) > 20, "the writers were never met: this shows nothing"


def test_what_was_planted_is_found_exactly_and_mended_beside_writers(projecting):
    store = projecting
    written = customers(8)
    others = [add_user().pk for _ in range(120)]
    testing.drain(store)
    planted = {
        "stale": sorted(map(str, others[:50])),
        "missing": sorted(map(str, others[50:100])),
        "orphan": sorted(map(str, range(100_000, 100_010))),
    }
    with Writers(written, seed=4) as writers:
        for id in others[:50]:
            corrupt(store, id)
        store._client.delete(*(key_of(id) for id in others[50:100]))
        for id in range(100_000, 100_010):
            plant(store, id, like=others[110])
        writers.go_on(50)
        found = audit(store, "UserProfile", is_repairing=True)
        writers.go_on(50)
        again = audit(store, "UserProfile")
    assert found_in(found) == planted
    assert (found.total, found.left, again.total) == (110, 0, 0)
    settle(store)
    testing.assert_law(store)
    answered = writers.answered
    assert {id: body(store, UserProfile, id)["name"] for id in answered} == {
        id: f"Count {counter}" for id, counter in answered.items()
    }


@pytest.mark.parametrize(("most_rows", "unsettled"), [(20_000, 0), (3, 1)])
def test_large_partition_that_never_stands_still_is_told_or_is_unsettled(store, monkeypatch, most_rows, unsettled):
    monkeypatch.setattr(stored, "MOST_ROWS", 2)
    monkeypatch.setattr(stored, "MOST_ROWS_OF_BUSY", most_rows)
    customer = add_user()
    orders = [add_order(customer) for _ in range(4)]
    testing.drain(store)
    one_pass = Stored._pass

    def then_change(self, *given):
        Order.objects.filter(pk=orders[0].pk).update(total_cents=F("total_cents") + 1)
        projector.settle(store)
        return one_pass(self, *given)

    monkeypatch.setattr(Stored, "_pass", then_change)
    found = audit(store, "CustomerOrders")
    assert (found.total, len(found.unsettled)) == (0, unsettled)


def settle(store: Store) -> None:
    for _ in range(1000):
        try:
            testing.drain(store)
        except ReadModelError:
            continue
        if not outbox.backlog_rows():
            return
    pytest.fail("it never settled")


def test_what_is_written_during_the_repair_stays(store, monkeypatch):
    """The repair builds the document, a change to it is projected, then the repair writes what it built."""
    user = add_user()
    testing.drain(store)
    corrupt(store, user.pk)
    read = mending.read

    def read_then_change(*given):
        shown = read(*given)
        at_once(lambda: (User.objects.filter(pk=user.pk).update(name="Newer"), testing.drain(store)))
        return shown

    monkeypatch.setattr(mending, "read", read_then_change)
    assert audit(store, "UserProfile", is_repairing=True).left == 0
    assert body(store, UserProfile, user.pk)["name"] == "Newer"
    testing.assert_law(store)


def test_change_that_waits_for_the_projector_is_no_drift(store):
    user = add_user()
    testing.drain(store)
    User.objects.filter(pk=user.pk).update(name="Later")
    found = audit(store, "UserProfile", wait_seconds=0.1)
    assert (found.total, found.unsettled) == (0, [str(user.pk)])


def test_row_that_came_back_to_what_it_was_is_no_drift(store, monkeypatch):
    """The table is the same at both looks; between them the store was behind, with a version above the first look's."""
    user = add_user(name="A")
    testing.drain(store)
    look = Stored.look
    names = iter(["B", None])

    def after_the_snapshot(self, places):
        name = next(names, None)
        if name:  # the first look's snapshot has shown A: the store is at B when it is read, and the table at A again
            rename(user, name)
            projector.settle(store)
            rename(user, "A")
        return look(self, places)

    monkeypatch.setattr(Stored, "look", after_the_snapshot)
    found = audit(store, "UserProfile", wait_seconds=0.1)
    assert (found.total, found.unsettled) == (0, [str(user.pk)])


def rename(user: User, name: str) -> None:
    User.objects.filter(pk=user.pk).update(name=name)


def test_bucket_that_is_filled_anew_is_no_drift(store):
    """Redis is emptied after the first look; the fill of the bucket is not yet done at the second."""
    users = [add_user() for _ in range(3)]
    testing.drain(store)
    store._client.flushall()
    found = audit(store, "UserProfile")
    assert (found.total, len(found.unsettled)) == (0, len(users))
    rebuild.repair(store)
    testing.assert_law(store)


def test_parked_document_is_told_apart(store, monkeypatch):
    monkeypatch.setattr(isolation, "FIRST_DELAY_SECONDS", 0.0)
    order = add_order(add_user())
    testing.drain(store)
    Order.objects.filter(pk=order.pk).update(total_cents=10**16, status="paid")
    for _ in range(3):
        projector.settle(store)
    assert deadletters.listed("CustomerOrders")
    found = audit(store, "CustomerOrders", is_repairing=True)
    assert (found.total, found.parked) == (0, [f"{order.customer_id}/{order.pk:019d}"])


def test_row_that_can_not_be_built_keeps_no_other_from_being_compared(store):
    products = [add_product(stock=stock) for stock in (5, 0, 5, 5)]
    testing.drain(store)
    read_model = type("Throwaway", (Document,), {"root": Product, "body": {"part": Value(100) / F("stock")}})
    try:
        generations.deploy()
        testing.drain(store)
        name = read_model.__name__
        store._client.delete(keys.document(name, live(name).number, str(products[3].pk)))
        found = audit(store, name)
        assert (found.missing, found.parked, found.compared) == ([str(products[3].pk)], [str(products[1].pk)], 3)
        DeadLetter.objects.all().delete()
        assert audit(store, name).unsettled == [str(products[1].pk)]
    finally:
        declare.forget("Throwaway")
        models.Generation.objects.filter(read_model="Throwaway").delete()
        generations.deploy()


def test_changed_generation_ends_the_audit(store):
    for _ in range(5):
        add_user()
    testing.drain(store)
    generation = live("UserProfile")
    seen: list[int] = []

    def switch(rows: int) -> None:
        seen.append(rows)
        generations.replace(generation)
        rebuild.repair(store)
        generations.drop_retired(store, after_seconds=0)

    found = drift.audit(store, generation, on_range=switch)
    assert (found.total, len(seen)) == (0, 1)


# A sample


def test_sample_looks_at_about_as_many_as_are_asked_for(store):
    Product.objects.bulk_create(Product(sku=f"S{n}", name="P", price_cents=1) for n in range(2000))
    testing.drain(store)
    found = audit(store, "ProductCard", sample=100)
    assert (found.compared, found.total) == (100, 0)
    assert 50 <= found.stored <= 100


@pytest.mark.parametrize("name", ["UserProfile", "CustomerOrders", "ProductCard"])
def test_large_sample_finds_what_a_whole_audit_would(store, name):
    customer = add_user()
    order = add_order(customer)
    product = add_product()
    testing.drain(store)
    store._client.delete(
        key_of(customer.pk), keys.document("ProductCard", live("ProductCard").number, product.sku), at(customer.pk).rows
    )
    missing = {"UserProfile": str(customer.pk), "CustomerOrders": f"{customer.pk}/{order.pk:019d}"}
    found = audit(store, name, sample=1000)
    assert found.missing == [missing.get(name, product.sku)]


def test_sample_meets_orphans(store):
    user = add_user()
    testing.drain(store)
    plant(store, 555, like=user.pk)
    assert audit(store, "UserProfile", sample=1000).orphan == ["555"]


# Size


def test_what_is_held_does_not_grow_with_the_read_model(store, configured, monkeypatch):
    configured(BATCH_ROWS=500)
    Product.objects.bulk_create(Product(sku=f"S{n}", name="P", price_cents=1) for n in range(20_000))
    customer = add_user()
    Order.objects.bulk_create(Order(customer=customer, total_cents=1, currency="GBP") for _ in range(6_000))
    testing.drain(store)
    held: list[int] = []
    look = Stored.look

    def counted(self, places):
        held.append(len(places))
        return look(self, places)

    monkeypatch.setattr(Stored, "look", counted)
    for name, rows in (("ProductCard", 20_000), ("CustomerOrders", 6_000)):
        found = audit(store, name)
        assert (found.compared, found.stored, found.is_clean) == (rows, rows, True)
    assert max(held) <= 2 * 500
