"""One poison document blocks only itself: it is isolated, tried again, parked with its error, and can be retried."""

import json
import os
import signal

import pytest
from django.db import connection, transaction

from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from project import child
from readmodels import (
    building,
    consistency,
    deadletters,
    drift,
    faults,
    generations,
    isolation,
    leases,
    models,
    outbox,
    projector,
    rebuild,
    scrub,
    snapshot,
    sweeping,
    switching,
    testing,
    together,
)
from readmodels.deadletters import Failure
from readmodels.errors import NotYet, WriteRefused
from readmodels.leases import Lease
from readmodels.outbox import Lane
from readmodels.query import Reader
from readmodels.store import Store
from tests.reading import body
from tests.rows import add_order, add_user
from tests.threads import at_once
from users.models import User
from users.readmodels.user_profile import UserProfile

# More than a measure may hold: CustomerOrders, OrdersByStatus and SalesByDay can't add it up, OrderDetail can show it.
POISON_CENTS = 10**16
COLLECTIONS = {"CustomerOrders", "OrdersByStatus", "SalesByDay"}


@pytest.fixture
def impatient(store, monkeypatch):
    """The same store, where what failed is tried again at once."""
    monkeypatch.setattr(isolation, "FIRST_DELAY_SECONDS", 0.0)
    return store


def poison(**fields):
    return add_order(add_user(), total_cents=POISON_CENTS, status="paid", **fields)


def settle(store):
    """Both lanes, until nothing is due any more."""
    for _ in range(3):
        projector.settle(store)
        projector.settle(store, Lane.BULK)


def parked():
    return {letter.read_model for letter in deadletters.listed()}


def test_others_flow_past_a_poison_document(store):
    before = [add_order(add_user()) for _ in range(5)]
    poison()
    after = [add_order(add_user()) for _ in range(5)]
    projector.settle(store)
    assert all(Reader(store).document(OrderDetail, order.pk).body for order in before + after)
    assert outbox.backlog_rows() == 1


def test_change_tried_before_gets_its_turn_while_others_keep_coming(store, monkeypatch):
    """As after a projector that was killed while it tried the change alone, on a system that is never idle."""
    order = add_order(add_user())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE readmodels_change SET attempts = 1 WHERE source = 'orders_order'")
    monkeypatch.setattr(faults, "reached", lambda point, *rest: point == "after_snapshot" and add_user())
    projector.settle(store)
    assert body(store, OrderDetail, order.pk)["id"] == order.pk


def test_poison_of_one_read_model_is_no_poison_of_another(store):
    order = poison()
    projector.settle(store)
    assert body(store, OrderDetail, order.pk)["total_cents"] == POISON_CENTS


def test_failed_change_waits_for_its_next_attempt(store, monkeypatch):
    monkeypatch.setattr(isolation, "FIRST_DELAY_SECONDS", 60.0)
    poison()
    projector.settle(store)
    change = models.Change.objects.get()
    assert change.attempts == 1
    assert not outbox.has_work(Lane.LIVE)


def test_poison_document_is_parked_with_its_error(impatient):
    order = poison()
    settle(impatient)
    assert outbox.backlog_rows() == 0
    assert parked() == COLLECTIONS
    letter = deadletters.listed("CustomerOrders")[0]
    assert (letter.key, letter.attempts) == (str(order.pk), isolation.PARK_AFTER)
    assert "OVERFLOW" in letter.error
    assert "Traceback" in letter.traceback


def test_dead_letter_tells_no_secret(impatient, monkeypatch):
    def refuse(self, *given):
        raise WriteRefused("the row (ada@example.com, password='horse-staple') can't be kept")

    monkeypatch.setattr(Store, "apply", refuse)
    add_user()
    settle(impatient)
    [letter] = deadletters.listed()
    assert letter.error == "WriteRefused: the row (***, password=***) can't be kept"
    assert "Traceback" in letter.traceback
    assert not any(secret in letter.traceback for secret in ("ada@example.com", "horse-staple"))


def test_mended_document_does_away_with_its_dead_letters(impatient):
    order = poison()
    settle(impatient)
    Order.objects.filter(pk=order.pk).update(total_cents=100)
    settle(impatient)
    assert parked() == set()
    testing.assert_law(impatient)


def test_dead_letter_can_be_retried(impatient, monkeypatch):
    order = poison()
    settle(impatient)
    Order.objects.filter(pk=order.pk).update(total_cents=100)
    models.Change.objects.all().delete()  # so that nothing but the retry brings it
    for letter in deadletters.listed():
        assert deadletters.retry(letter.id)
    settle(impatient)
    testing.drain(impatient)
    assert parked() == set()
    assert Reader(impatient).page(CustomerOrders, order.customer_id).rows


def test_dead_letter_can_be_discarded(impatient):
    poison()
    settle(impatient)
    assert [deadletters.discard(letter.id) for letter in deadletters.listed()] == [True] * 3
    assert not deadletters.discard(1)


def test_poison_among_the_documents_of_a_fan_out_blocks_none_of_them(impatient, configured):
    user = add_user(name="A")
    orders = [add_order(user) for _ in range(4)]
    testing.drain(impatient)
    Order.objects.filter(pk=orders[0].pk).update(total_cents=POISON_CENTS, status="paid")
    settle(impatient)
    User.objects.filter(pk=user.pk).update(name="B")
    settle(impatient)
    names = {body(impatient, OrderDetail, order.pk)["customer"]["name"] for order in orders}
    assert names == {"B"}
    assert json.loads(Reader(impatient).document(UserProfile, user.pk).body)["name"] == "B"
    assert outbox.backlog_rows() == 0


def test_token_of_a_parked_write_is_not_answered_and_no_other_waits(impatient):
    customer = add_user()
    testing.drain(impatient)
    with consistency.recorded() as mine:
        add_order(customer, total_cents=POISON_CENTS, status="paid")
    settle(impatient)
    with consistency.recorded() as other:
        add_order(add_user())
    settle(impatient)
    sweeping.publish_progress(impatient)
    reader = Reader(impatient)
    with pytest.raises(NotYet):
        reader.page(CustomerOrders, customer.pk, token=mine.token, wait_seconds=0.05)
    reader.page(CustomerOrders, customer.pk, token=other.token, wait_seconds=0.05)


def test_lost_bucket_is_filled_past_a_poison_document(impatient):
    orders = [add_order(add_user()) for _ in range(8)]
    bad = poison()
    orders += [add_order(add_user()) for _ in range(8)]
    settle(impatient)
    impatient._client.flushall()
    assert rebuild.repair(impatient)
    sweeping.publish_progress(impatient)
    assert all(Reader(impatient).document(OrderDetail, order.pk).body for order in orders)
    assert {(letter.read_model, letter.key) for letter in deadletters.listed()} == {
        (name, str(bad.pk)) for name in COLLECTIONS
    }


def test_change_that_kills_its_projector_is_parked_in_the_end(impatient, monkeypatch):
    customer = add_user()
    good, *_ = [add_order(customer) for _ in range(60)]  # more than are taken at once after a death
    bad = add_order(customer)
    real = projector.read

    def read(*args, **kwargs):
        batch = real(*args, **kwargs)
        if any((change.source, change.key) == ("orders_order", str(bad.pk)) for change in batch.changes):
            os.kill(os.getpid(), signal.SIGKILL)
        return batch

    monkeypatch.setattr(projector, "read", read)
    deaths = 0
    while is_killed(lambda: settle(impatient)):
        deaths += 1
        models.Shard.objects.update(held_until=None)  # as they run out
        assert deaths < 20
    assert deaths == isolation.PARK_AFTER + 2  # a full batch, a small one, then alone
    assert Reader(impatient).document(OrderDetail, good.pk).body
    assert {letter.key for letter in deadletters.listed()} == {str(bad.pk)}
    assert "without a word" in deadletters.listed()[0].error


def is_killed(work):
    """Whether the work, done in a process of its own, ended it by SIGKILL."""
    connection.close()
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


class Killed(BaseException):
    """No handler of errors sees it, as none sees SIGKILL."""


@pytest.fixture
def deadly(impatient, monkeypatch):
    """An order among others that is parked since projectors died at it, and kills whoever else builds it."""
    orders = [add_order(add_user()) for _ in range(5)]
    testing.drain(impatient)
    order, build = orders[2], building.builds

    def kills(cursor, generation, keys):
        if generation.plan.name == "OrderDetail" and str(order.pk) in keys:
            raise Killed
        return build(cursor, generation, keys)

    live = models.Generation.objects.get(read_model="OrderDetail", state="live")
    failure = Failure("OrderDetail", live.number, "orders_order", str(order.pk), None, [], "Died: each time", "")
    deadletters.park([failure], isolation.PARK_AFTER)
    monkeypatch.setattr(building, "builds", kills)
    return order


def take(lease):
    with connection.cursor() as cursor:
        together.ask(cursor, [leases.taking(lease)])


@pytest.mark.parametrize("note", [take, leases.end])
def test_projectors_with_the_same_shards_do_not_deadlock(store, note):
    """Leases may overlap. One holds the first of two rows and wants the second, when the other comes."""
    lease = Lease(Lane.LIVE, "me")
    models.Shard.objects.bulk_create(models.Shard(number=number, holder="me") for number in (2, 1))
    models.Change.objects.bulk_create(models.Change(source="a", key="1", xid=1, shard=number) for number in (2, 1))

    def hold():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("UPDATE readmodels_shard SET attempts = 0 WHERE number = 1")
            assert child.wait_until(is_one_waiting, 10)
            cursor.execute("UPDATE readmodels_shard SET attempts = 0 WHERE number = 2")

    def come():
        assert child.wait_until(is_first_held, 10)
        with connection.cursor() as cursor:  # PostgreSQL may well read so small a table as it lies
            cursor.execute("SET enable_indexscan = off; SET enable_bitmapscan = off")
        return note(lease)

    assert not any(isinstance(outcome, Exception) for outcome in at_once(hold, come))


def is_one_waiting():
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        return cursor.fetchone()[0]


def is_first_held():
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM readmodels_shard WHERE number = 1 FOR UPDATE SKIP LOCKED")
        return cursor.fetchone() is None


def test_deadly_document_kills_no_audit(impatient, deadly):
    with snapshot.reading() as (cursor, _):
        [live] = [each for each in generations.current(cursor) if each.plan.name == "OrderDetail"]
    found = drift.audit(impatient, live)
    assert (found.compared, found.total, found.parked) == (4, 0, [str(deadly.pk)])


def test_deadly_document_kills_no_scrub(impatient, deadly):
    for _ in range(40):
        scrub.step(impatient)
    assert all(each.verified_as_of for each in scrub.verified_as_of())


def test_deadly_document_kills_no_rebuild_and_stays_parked(impatient, deadly):
    number = switching.begin("OrderDetail")
    rebuild.repair(impatient)
    assert switching.state("OrderDetail", number) == "live"
    letters = deadletters.listed("OrderDetail")
    assert [(letter.generation, letter.key) for letter in letters] == [(number, str(deadly.pk))]


def test_parked_write_stays_unanswered_behind_a_long_backlog(impatient, configured):
    customer = add_user()
    testing.drain(impatient)
    with consistency.recorded() as mine:
        add_order(customer, total_cents=POISON_CENTS, status="paid")
    settle(impatient)
    configured(pending_changes=1)
    for _ in range(3):
        add_user()
    sweeping.publish_progress(impatient)
    with pytest.raises(NotYet):
        Reader(impatient).page(CustomerOrders, customer.pk, token=mine.token, wait_seconds=0.05)
