"""Large fan-outs: one change per document in a lane of their own, coalesced, and nobody else waits for them."""

import json

import pytest

from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from readmodels import consistency, deadletters, fan_out, models, outbox, projector, sweeping, testing
from readmodels.deadletters import Failure
from readmodels.errors import NotYet
from readmodels.outbox import Lane
from readmodels.query import Reader
from tests.rows import add_order, add_user
from users.models import User
from users.readmodels.user_profile import UserProfile

ORDERS = 5


@pytest.fixture
def wide(store, configured):
    """A user whose orders are too many for one batch."""
    configured(fan_out_documents=3)
    user = add_user(name="A")
    for _ in range(ORDERS):
        add_order(user)
    testing.drain(store)
    return user


def rename(user, name):
    with consistency.recorded() as written:
        User.objects.filter(pk=user.pk).update(name=name)
    return written.token


def names(store, user):
    orders = Order.objects.filter(customer=user).values_list("pk", flat=True)
    return {json.loads(answer.body)["customer"]["name"] for answer in Reader(store).documents(OrderDetail, orders)}


def children():
    return models.Change.objects.filter(is_fan_out=False, read_models__isnull=False)


def expand(store):
    """The fan-outs that wait in the bulk lane are worked out, nothing is built."""
    batch = projector.read(store, Lane.BULK.value)
    fan_out.expand(batch.fan_outs, batch.snapshot.epoch)


def test_wide_change_does_its_own_row_at_once(store, wide):
    rename(wide, "B")
    projector.settle(store)
    assert json.loads(Reader(store).document(UserProfile, wide.pk).body)["name"] == "B"
    assert names(store, wide) == {"A"}


def test_wide_change_reaches_every_document_in_the_bulk_lane(store, wide):
    rename(wide, "B")
    projector.settle(store)
    projector.settle(store, Lane.BULK)
    assert names(store, wide) == {"B"}
    testing.assert_law(store)


def test_fan_out_becomes_one_change_per_document(store, wide):
    token = rename(wide, "B")
    projector.settle(store)
    expand(store)
    assert children().count() == ORDERS
    assert {tuple(change.writers) for change in children()} == {(token.xid,)}
    assert {tuple(change.read_models) for change in children()} == {("OrderDetail", "OrdersByStatus")}


def test_fan_out_of_many_is_worked_out_in_parts(store, wide, monkeypatch):
    monkeypatch.setattr(fan_out, "CHUNK", 2)
    token = rename(wide, "B")
    projector.settle(store)
    expand(store)
    assert children().count() == ORDERS
    assert {tuple(change.writers) for change in children()} == {(token.xid,)}


def test_change_beside_a_wide_one_is_not_delayed(store, wide):
    other = add_user(name="X")
    order = add_order(other)
    rename(wide, "B")
    rename(other, "Y")
    projector.settle(store)
    assert json.loads(Reader(store).document(OrderDetail, order.pk).body)["customer"]["name"] == "Y"


def test_second_fan_out_coalesces_with_the_first(store, wide):
    tokens = []
    for name in ("B", "C"):
        tokens.append(rename(wide, name))
        projector.settle(store)
        expand(store)
    assert children().count() == ORDERS
    assert {tuple(change.writers) for change in children()} == {tuple(token.xid for token in tokens)}
    projector.settle(store, Lane.BULK)
    assert names(store, wide) == {"C"}


def test_fan_out_during_a_pass_does_not_begin_it_anew(store, wide, configured):
    rename(wide, "B")
    projector.settle(store)
    expand(store)
    for name in ("C", "D"):
        rename(wide, name)
        projector.settle(store)
        configured(batch_rows=2)
        projector.project(store, Lane.BULK.value)
        configured(batch_rows=500)
    assert children().count() == ORDERS - 4


def test_fan_outs_that_came_during_a_pass_are_worked_off_together(store, wide):
    rename(wide, "B")
    projector.settle(store)
    expand(store)
    tokens = []
    for name in ("C", "D", "E"):
        tokens.append(rename(wide, name))
        projector.settle(store)
    projector.project(store, Lane.BULK.value)
    assert children().count() == ORDERS
    assert {tuple(change.writers) for change in children()} == {tuple(token.xid for token in tokens)}
    projector.settle(store, Lane.BULK)
    assert names(store, wide) == {"E"}


def test_coalescing_during_a_build_loses_nothing(store, wide):
    rename(wide, "B")
    projector.settle(store)
    expand(store)
    under_way = projector.read(store, Lane.BULK.value)
    rename(wide, "C")
    projector.settle(store)
    expand(store)
    projector.write(store, under_way)
    projector.acknowledge(under_way)
    assert children().count() == ORDERS
    projector.settle(store, Lane.BULK)
    assert names(store, wide) == {"C"}
    testing.assert_law(store)


def test_fan_out_is_expanded_once(store, wide):
    rename(wide, "B")
    projector.settle(store)
    batch = projector.read(store, Lane.BULK.value)
    for _ in range(2):
        fan_out.expand(batch.fan_outs, batch.snapshot.epoch)
        projector.settle(store, Lane.BULK)
    assert outbox.backlog_rows() == 0


def test_order_placed_between_rename_and_expansion_is_right(store, wide):
    rename(wide, "B")
    projector.settle(store)
    add_order(wide)
    testing.drain(store)
    assert names(store, wide) == {"B"}
    testing.assert_law(store)


def test_own_token_waits_for_the_bulk_lane(store, wide):
    token = rename(wide, "B")
    projector.settle(store)
    sweeping.publish_progress(store)
    order = Order.objects.filter(customer=wide).first()
    with pytest.raises(NotYet):
        Reader(store).document(OrderDetail, order.pk, token=token, wait_seconds=0.1)
    assert Reader(store).document(UserProfile, wide.pk, token=token, wait_seconds=0.1).body
    assert Reader(store).page(CustomerOrders, wide.pk, token=token, wait_seconds=0.1).rows


def test_token_of_another_does_not_wait_for_the_bulk_lane(store, wide):
    rename(wide, "B")
    projector.settle(store)
    expand(store)
    token = rename(add_user(), "Z")
    projector.settle(store)
    order = Order.objects.filter(customer=wide).first()
    found = Reader(store).document(OrderDetail, order.pk, token=token, wait_seconds=0.1)
    assert json.loads(found.body)["customer"]["name"] == "A"


def test_changes_that_are_alike_make_one_batch(store, configured):
    configured(fan_out_documents=2 * ORDERS)
    users = [add_user() for _ in range(3)]
    for user in users:
        for _ in range(ORDERS):
            add_order(user)
    testing.drain(store)
    for name in range(20):
        for user in users:
            rename(user, name)
    batch = projector.project(store, Lane.LIVE.value)
    assert len(batch.changes) == 20
    assert len(batch.writes) == 1 + 2 * ORDERS


def test_wide_changes_that_are_alike_go_on_together(store, wide):
    for name in "BCD":
        rename(wide, name)
    batch = projector.project(store, Lane.LIVE.value)
    assert len(batch.changes) == 3
    assert [change.is_fan_out for change in models.Change.objects.all()] == [True] * 3
    testing.drain(store)
    assert names(store, wide) == {"D"}
    testing.assert_law(store)


def test_live_batch_tells_what_the_bulk_lane_has_left(store, wide):
    token = rename(wide, "B")
    projector.settle(store)
    add_user()
    projector.settle(store)
    progress = consistency.parse_progress(store.progress())
    assert progress.pending["OrderDetail"] == [token.xid]
    assert "UserProfile" not in progress.pending


def test_live_batch_tells_what_is_parked(store):
    user = add_user()
    testing.drain(store)
    deadletters.park([Failure("UserProfile", 1, "users_user", str(user.pk), None, [], "gone", "")], attempts=1)
    add_user()
    projector.settle(store)
    assert consistency.parse_progress(store.progress()).parked["UserProfile"] == {str(user.pk)}
