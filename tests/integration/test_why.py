"""Why a document is as it is: its rows, its last change and how far that got, at every stage of the change's life."""

import pytest
from django.db import connection, transaction

from orders.models import Order, Product
from readmodels import connection as redis_connection
from readmodels import generations, isolation, keys, models, projector, testing, why
from readmodels.errors import NotProjected, WrongKey
from readmodels.models import GenerationState
from readmodels.outbox import Lane
from tests.cli import readmodels
from tests.rows import add_line, add_order, add_product, add_user
from users.models import User


@pytest.fixture
def order(store) -> Order:
    """An order of one line, projected."""
    order = add_order(add_user(name="A"))
    add_line(order, add_product(sku="MUG"))
    testing.drain(store)
    return order


def rename(order, name="B", trace=None) -> int:
    """The customer has another name; returns the transaction that did it."""
    with transaction.atomic(), connection.cursor() as cursor:
        if trace:
            cursor.execute("SELECT set_config('readmodels.trace', %s, true)", [trace])
        User.objects.filter(pk=order.customer_id).update(name=name)
        cursor.execute("SELECT pg_current_xact_id()::text::bigint")
        return cursor.fetchone()[0]


def only_place(found):
    [place] = found.places
    return place


def settle(store):
    for _ in range(3):
        projector.settle(store)
        projector.settle(store, Lane.BULK)


# What it is made from


def test_rows_are_named_with_the_columns_that_are_used(store, order):
    line = order.lines.get()
    found = {(row.table, row.key): row.values for row in why.explain(store, "OrderDetail", str(order.pk)).rows}
    assert found["users_user", str(order.customer_id)] == {"name": "A"}
    assert found["orders_product", str(line.product_id)] == {"sku": "MUG", "name": line.product.name}
    assert found["orders_orderline", str(line.pk)]["quantity"] == 1
    assert found["orders_order", str(order.pk)]["total_cents"] == 1000
    assert len(found) == 4


def test_rows_of_others_are_not_named(store, order):
    other = add_order(add_user())
    add_line(other, add_product())
    testing.drain(store)
    assert len(why.explain(store, "OrderDetail", str(order.pk)).rows) == 4


def test_rows_are_bounded_and_it_says_so(store, order, capsys):
    for _ in range(3):
        add_line(order, add_product())
    found = why.explain(store, "OrderDetail", str(order.pk), most_rows=2)
    assert len([row for row in found.rows if row.table == "orders_orderline"]) == 2
    assert found.has_more_rows
    assert "There are more rows" in readmodels(capsys, "why", "OrderDetail", order.pk, "--rows", 2).out


def test_order_of_a_guest_is_explained(store):
    guest = add_order(None)
    testing.drain(store)
    found = why.explain(store, "OrderDetail", str(guest.pk))
    assert found.is_right
    assert {row.table for row in found.rows} == {"orders_order"}


# The last change, through its life


def test_pending_change_is_the_last_one(store, order):
    xid = rename(order)
    found = why.explain(store, "OrderDetail", str(order.pk))
    change = found.last_change
    assert (change.table, change.key, change.columns) == ("users_user", str(order.customer_id), ["name"])
    assert (change.writers, change.acknowledged_xid) == ([xid], None)
    assert found.pending_changes == 1
    place = only_place(found)
    assert (place.state, place.shows_last_change, place.is_as_in_postgresql) == ("served", False, False)
    assert not found.is_right


def test_applied_change_is_found_among_those_kept(store, order):
    xid = rename(order)
    captured_at = models.Change.objects.get().at
    testing.drain(store)
    found = why.explain(store, "OrderDetail", str(order.pk))
    change = found.last_change
    epoch = models.Clock.objects.get().epoch
    assert (change.writers, change.captured_at, change.acknowledged_epoch) == ([xid], captured_at, epoch)
    assert change.acknowledged_xid > xid
    place = only_place(found)
    assert place.built_at >= captured_at
    assert (place.shows_last_change, place.is_as_in_postgresql) == (True, True)
    assert found.is_right


def test_trace_of_the_writer_is_told(store, order):
    rename(order, trace="00-abc-01")
    assert why.explain(store, "OrderDetail", str(order.pk)).last_change.trace == "00-abc-01"


def test_change_of_another_column_or_row_is_not_the_last_one(store, order):
    xid = rename(order)
    User.objects.filter(pk=order.customer_id).update(country="Denmark")
    add_order(add_user())
    assert why.explain(store, "OrderDetail", str(order.pk)).last_change.writers == [xid]


def test_change_by_way_of_a_list_is_found(store, order):
    product = order.lines.get().product
    Product.objects.filter(pk=product.pk).update(name="New")
    change = why.explain(store, "OrderDetail", str(order.pk)).last_change
    assert (change.table, change.key) == ("orders_product", str(product.pk))


def test_row_that_left_a_list_is_found(store, order):
    line = order.lines.get()
    key = str(line.pk)
    line.delete()
    change = why.explain(store, "OrderDetail", str(order.pk)).last_change
    assert (change.table, change.key, change.columns) == ("orders_orderline", key, None)


def test_change_left_to_the_bulk_lane_is_pending(store, order, configured):
    configured(fan_out_documents=1)
    add_order(order.customer)
    testing.drain(store)
    xid = rename(order)
    projector.settle(store)
    found = why.explain(store, "OrderDetail", str(order.pk))
    assert (found.last_change.writers, found.last_change.acknowledged_xid) == ([xid], None)
    projector.settle(store, Lane.BULK)
    found = why.explain(store, "OrderDetail", str(order.pk))
    assert found.last_change.writers == [xid]
    assert found.last_change.acknowledged_xid
    assert found.is_right


def test_document_that_a_fan_out_has_still_to_build_is_pending(store, order, configured):
    configured(fan_out_documents=1)
    add_order(order.customer)
    testing.drain(store)
    xid = rename(order)
    projector.settle(store)
    projector.project(store, [*Lane.BULK.value])  # the fan-out is worked out, its documents are not built
    found = why.explain(store, "OrderDetail", str(order.pk))
    assert (found.pending_changes, found.last_change.writers) == (1, [xid])
    assert (found.last_change.table, found.last_change.acknowledged_xid) == ("orders_order", None)
    assert not found.is_right


def test_change_older_than_what_is_kept_is_not_made_up(store, order, capsys):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM readmodels_acknowledged")
    found = why.explain(store, "OrderDetail", str(order.pk))
    assert found.last_change is None
    assert found.is_right
    answer = readmodels(capsys, "why", "OrderDetail", order.pk)
    assert (answer.code, "none of the last 24 h is kept" in answer.out) == (0, True)


# States


def test_document_that_never_was_is_absent(store):
    found = why.explain(store, "OrderDetail", "12345")
    assert only_place(found).state == "absent"
    assert not found.is_right


def test_deleted_document_is_a_tombstone_and_its_end_is_told(store, order):
    pk = str(order.pk)
    order.delete()
    testing.drain(store)
    found = why.explain(store, "OrderDetail", pk)
    assert only_place(found).state == "tombstone"
    assert (found.last_change.table, found.last_change.columns) == ("orders_order", None)
    assert found.rows == []


def test_deleted_document_is_found_by_a_key_that_is_no_primary_key(store):
    product = add_product(sku="CUP")
    testing.drain(store)
    pk = str(product.pk)
    product.delete()
    testing.drain(store)
    found = why.explain(store, "ProductCard", "CUP")
    assert only_place(found).state == "tombstone"
    assert (found.roots, found.last_change.key) == ([pk], pk)


def test_lost_document_is_absent_and_not_as_in_postgresql(store, order):
    redis_connection.read_models().delete(
        keys.document("OrderDetail", generations.pointers()["OrderDetail"], str(order.pk))
    )
    place = only_place(why.explain(store, "OrderDetail", str(order.pk)))
    assert (place.state, place.is_as_in_postgresql) == ("absent", False)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(isolation, "FIRST_DELAY_SECONDS", 0.0)


def test_parked_document_comes_with_its_error(store, order, impatient, capsys):
    Order.objects.filter(pk=order.pk).update(total_cents=10**16, status="paid")
    settle(store)
    found = why.explain(store, "SalesByDay", str(order.pk))
    [letter] = found.dead_letters
    assert "OVERFLOW" in letter.error
    assert not found.is_right
    assert only_place(found).shows_last_change is None
    assert why.explain(store, "OrderDetail", str(order.pk)).dead_letters == []
    answer = readmodels(capsys, "why", "SalesByDay", order.pk)
    assert (answer.code, f"parked: dead letter {letter.id}" in answer.out) == (1, True)


def test_document_that_cant_be_built_comes_with_the_reason(store, order, monkeypatch):
    for plan in [each for each in generations._plans.values() if each.name == "OrderDetail"]:
        broken = plan.build_sql.replace("SELECT ", "SELECT 1/0, ", 1)
        monkeypatch.setitem(plan.__dict__, "build_sql", broken)
    found = why.explain(store, "OrderDetail", str(order.pk))
    assert found.build_error == "division by zero"
    assert found.rows
    assert not found.is_right


def test_read_model_without_a_live_generation_is_told(store, capsys):
    row = models.Generation.objects.get(read_model="OrderDetail", state=GenerationState.LIVE)
    models.Generation.objects.filter(pk=row.pk).update(state=GenerationState.BUILDING)
    try:
        with pytest.raises(NotProjected):
            why.explain(store, "OrderDetail", "1")
        answer = readmodels(capsys, "why", "OrderDetail", 1)
        assert (answer.code, answer.error[:46]) == (2, "why: no generation of OrderDetail is live yet;")
    finally:
        models.Generation.objects.filter(pk=row.pk).update(state=GenerationState.LIVE)


# Collections


@pytest.mark.parametrize("key", ["{partition}/{pk}", "{partition}/{pk:019d}", "{pk}"])
def test_row_is_found_by_its_place_and_by_its_root(store, order, key):
    found = why.explain(store, "CustomerOrders", key.format(partition=order.customer_id, pk=order.pk))
    place = only_place(found)
    assert place.key == f"{order.customer_id}/{order.pk:019d}"
    assert (place.state, place.is_as_in_postgresql) == ("served", True)
    assert place.version == why.explain(store, "OrdersByStatus", str(order.pk)).places[0].version
    assert found.is_right


def test_moved_row_is_told_with_both_its_places(store, order):
    Order.objects.filter(pk=order.pk).update(status="paid")
    testing.drain(store)
    found = why.explain(store, "OrdersByStatus", str(order.pk))
    states = {place.key.partition("/")[0]: place.state for place in found.places}
    assert states == {"paid": "served", "placed": "tombstone"}
    assert found.is_right


def test_row_in_a_partition_where_it_never_was_is_absent(store, order):
    found = why.explain(store, "OrdersByStatus", f"shipped/{order.pk}")
    assert only_place(found).state == "absent"
    assert not found.is_right


def test_deleted_row_whose_place_is_forgotten_is_told_so(store, order, capsys):
    pk = order.pk
    order.delete()
    testing.drain(store)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM readmodels_acknowledged")
    answer = readmodels(capsys, "why", "CustomerOrders", pk)
    assert (answer.code, "no change is kept that tells where it was" in answer.out) == (1, True)


# Keys and answers


@pytest.mark.parametrize("key", ["x", "", "1.5", "\0"])
def test_text_that_is_no_key_is_refused(store, key):
    with pytest.raises(WrongKey, match=r"is no orders\.Order\.id; accepted: Big \(8 byte\) integer"):
        why.explain(store, "OrderDetail", key)


def test_key_out_of_range_is_absent(store):
    assert only_place(why.explain(store, "OrderDetail", "9" * 30)).state == "absent"


def test_json_tells_the_same(store, order, capsys):
    xid = rename(order)
    answer = readmodels(capsys, "why", "OrderDetail", order.pk, "--json")
    assert answer.code == 1
    assert answer.data["last_change"]["writers"] == [xid]
    assert answer.data["places"][0]["state"] == "served"
    assert answer.data["is_right"] is False


def test_answer_for_people_tells_the_story_in_order(store, order, capsys):
    xid = rename(order)
    testing.drain(store)
    lines = readmodels(capsys, "why", "OrderDetail", order.pk).out.splitlines()
    story = [
        line.split(":")[0] for line in lines if line.startswith(("last", "captured", "built", "applied", "pending"))
    ]
    assert story == ["last change", "captured", "built", "applied", "pending"]
    assert any(f"transaction {xid}, trace none" in line for line in lines)


def test_nothing_is_written(store, order):
    before = redis_connection.read_models().dbsize()
    why.explain(store, "CustomerOrders", str(order.pk))
    assert redis_connection.read_models().dbsize() == before
    assert models.Change.objects.count() == 0
