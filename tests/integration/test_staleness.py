"""How stale an answer may be, and what becomes of one that lacks something asked for."""

import json
import time

import pytest
from django.db import connection

from orders.models import Order, Product
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from orders.readmodels.product_card import ProductCard
from readmodels import consistency, deadletters, models, projector, sweeping, testing
from readmodels.consistency import Token
from readmodels.deadletters import Failure
from readmodels.errors import CannotSay, NotBuilt, NotYet, StoreLost, TooStale
from readmodels.query import Reader
from readmodels.store import Store
from tests.progress import say
from tests.rows import add_order, add_product, add_user
from users.models import User
from users.readmodels.user_profile import UserProfile


@pytest.fixture
def reader(store):
    return Reader(store)


def written(write):
    """The token of a write."""
    with consistency.recorded() as recorded:
        write()
    return recorded.token


def rename(user, name):
    return written(lambda: User.objects.filter(pk=user.pk).update(name=name))


def name_of(answer):
    return json.loads(answer.body)["name"]


def reading_at(store, time):
    """A reader whose clock stands still."""
    return Reader(store, now=lambda: time)


# Several tokens


def test_answer_includes_every_write_that_it_is_asked_for(store, reader):
    user = add_user()
    tokens = [rename(user, "A")]
    testing.drain(store)
    tokens.append(rename(user, "B"))
    assert name_of(reader.document(UserProfile, user.pk, token=tokens[:1], wait_seconds=0)) == "A"
    for order in (tokens, tokens[::-1]):
        with pytest.raises(NotYet):
            reader.document(UserProfile, user.pk, token=order, wait_seconds=0)
    testing.drain(store)
    assert name_of(reader.document(UserProfile, user.pk, token=tokens, wait_seconds=0)) == "B"


def test_one_write_may_be_shown_by_the_document_and_another_by_progress(store, reader):
    order, product = add_order(None), add_product()
    testing.drain(store)
    mine = written(lambda: Order.objects.update(status="paid"))
    projector.write(store, projector.read(store, range(8)))
    others = written(lambda: Product.objects.filter(pk=product.pk).update(price_cents=1))
    say(store)
    assert reader.document(OrderDetail, order.pk, token=(mine, others), wait_seconds=0).body
    with pytest.raises(NotYet):
        reader.document(OrderDetail, 999, token=(mine, others), wait_seconds=0)


# As it is


def test_answer_as_it_is_lacks_the_write_and_is_marked(store, reader):
    user = add_user(name="Old")
    testing.drain(store)
    token = rename(user, "New")
    answer = reader.document(UserProfile, user.pk, token=token, wait_seconds=0, is_stale_fine=True)
    assert (name_of(answer), answer.freshness.is_stale) == ("Old", True)
    testing.drain(store)
    answer = reader.document(UserProfile, user.pk, token=token, wait_seconds=0, is_stale_fine=True)
    assert (name_of(answer), answer.freshness.is_stale) == ("New", False)


def test_lists_as_they_are_are_marked(store, reader):
    add_order(customer := add_user())
    testing.drain(store)
    asked = {"token": written(lambda: add_order(customer)), "wait_seconds": 0, "is_stale_fine": True}
    page = reader.page(CustomerOrders, customer.pk, **asked)
    [measures] = reader.measures(CustomerOrders, [customer.pk], **asked)
    [document] = reader.documents(OrderDetail, [1], **asked)
    assert page.freshness.is_stale
    assert measures.freshness.is_stale
    assert document.freshness.is_stale
    assert len(page.rows) == 1


def test_answer_as_it_is_comes_after_the_wait(projecting, reader):
    user = add_user()
    for number in range(20):
        token = rename(user, f"Name {number}")
        answer = reader.document(UserProfile, user.pk, token=token, wait_seconds=10, is_stale_fine=True)
        assert (name_of(answer), answer.freshness.is_stale) == (f"Name {number}", False)


def another_timeline(store):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE readmodels_clock SET server = 'another/00000001/1'")
    testing.drain(store)


def test_token_of_another_timeline_is_no_matter_of_waiting(store, reader):
    user = add_user()
    testing.drain(store)
    token = rename(user, "A")
    another_timeline(store)
    begun = time.monotonic()
    answer = reader.document(UserProfile, 999, token=token, wait_seconds=10, is_stale_fine=True)
    assert answer.freshness.is_stale
    assert time.monotonic() - begun < 5


def test_document_built_since_does_not_vouch_for_another_timeline(store, reader):
    """The token's id may be another transaction's here, which the document's snapshot shows as ended."""
    user = add_user()
    testing.drain(store)
    token = rename(user, "A")
    another_timeline(store)
    assert name_of(reader.document(UserProfile, user.pk)) == "A"
    with pytest.raises(CannotSay):
        reader.document(UserProfile, user.pk, token=token, wait_seconds=0)


# Bounded staleness


def test_staleness_is_counted_from_the_last_look(store):
    add_user()
    testing.drain(store)
    reader = reading_at(store, say(store) + 5)
    assert reader.document(UserProfile, 999, max_stale_seconds=5.1, wait_seconds=0).body is None
    with pytest.raises(TooStale, match=r"UserProfile was 5\.000 s stale, not 4\.9 s after 0 s"):
        reader.document(UserProfile, 999, max_stale_seconds=4.9, wait_seconds=0)


def test_staleness_is_counted_from_the_oldest_change_not_applied(store):
    user = add_user()
    testing.drain(store)
    rename(user, "A")
    oldest = models.Change.objects.get().at.timestamp()
    say(store, seconds_ago=-100)
    reader = reading_at(store, oldest + 5)
    reader.document(UserProfile, 999, max_stale_seconds=5.1, wait_seconds=0)
    with pytest.raises(TooStale):
        reader.document(UserProfile, 999, max_stale_seconds=4.9, wait_seconds=0)
    assert reader.document(ProductCard, "none", max_stale_seconds=0, wait_seconds=0).body is None


def test_pages_are_judged_by_progress(store):
    add_order(customer := add_user())
    testing.drain(store)
    reader = reading_at(store, say(store) + 5)
    for most, is_stale in ((5.1, False), (4.9, True)):
        asked = {"max_stale_seconds": most, "wait_seconds": 0, "is_stale_fine": True}
        [measures] = reader.measures(CustomerOrders, [customer.pk], **asked)
        assert measures.freshness.is_stale == is_stale
        assert reader.page(CustomerOrders, customer.pk, **asked).freshness.is_stale == is_stale


def test_document_built_since_is_as_new_as_its_own_snapshot(store):
    """Others of the read model are pending, so all that progress can say is older."""
    users = [add_user() for _ in range(20)]
    testing.drain(store)
    User.objects.update(name="New")
    changes = models.Change.objects.all()
    oldest = min(change.at.timestamp() for change in changes)
    by_shard = {int(change.key): change.shard for change in changes}
    mine = by_shard[users[0].pk]
    other = next(user for user in users if by_shard[user.pk] != mine)
    projector.project(store, [mine])
    say(store)
    reader = reading_at(store, oldest + 10)
    assert name_of(reader.document(UserProfile, users[0].pk, max_stale_seconds=9.9999, wait_seconds=0)) == "New"
    for key in (other.pk, 999):
        with pytest.raises(TooStale):
            reader.document(UserProfile, key, max_stale_seconds=9.9999, wait_seconds=0)


def test_clock_behind_postgresql_makes_nothing_stale(store):
    reader = reading_at(store, say(store) - 10)
    assert reader.document(UserProfile, 999, max_stale_seconds=0, wait_seconds=0).body is None


class Told(Store):
    """Redis, where a drain tells the first bucket alone how far it is: between two looks of a reader."""

    def progress(self, bucket=0):
        say(self, only=[0])
        return super().progress(bucket)


def test_reader_waits_until_the_first_bucket_says_so(store):
    add_user()
    testing.drain(store)
    said = say(store, seconds_ago=100)
    answer = Reader(Told()).document(UserProfile, 999, max_stale_seconds=50, wait_seconds=5)
    assert not answer.freshness.is_stale
    assert answer.freshness.as_of.timestamp() > said + 50


def test_bound_that_only_chance_could_meet_is_not_waited_for(store, reader):
    say(store, seconds_ago=100)
    begun = time.monotonic()
    with pytest.raises(TooStale):
        reader.document(UserProfile, 999, max_stale_seconds=0, wait_seconds=10)
    assert time.monotonic() - begun < 5


def test_staleness_and_token_are_both_kept(store):
    user = add_user()
    testing.drain(store)
    token = rename(user, "A")
    testing.drain(store)
    reader = reading_at(store, say(store) + 5)
    reader.page(CustomerOrders, user.pk, token=token, max_stale_seconds=6, wait_seconds=0)
    with pytest.raises(TooStale):
        reader.page(CustomerOrders, user.pk, token=token, max_stale_seconds=4, wait_seconds=0)
    never = Token(token.epoch, 2**40)
    with pytest.raises(NotYet):
        reader.page(CustomerOrders, user.pk, token=never, max_stale_seconds=6, wait_seconds=0)


# Read models that are being mended


def test_doubtful_read_model_is_not_read_whatever_is_asked(store, reader):
    user = add_user()
    testing.drain(store)
    say(store, doubtful=["UserProfile"])
    with pytest.raises(StoreLost):
        reader.document(UserProfile, user.pk, is_stale_fine=True)
    assert reader.document(OrderDetail, 999).body is None


def test_first_bucket_in_doubt_is_doubt_enough(store, reader):
    user = add_user()
    testing.drain(store)
    token = rename(user, "A")
    say(store, only=[0], doubtful=["UserProfile"])
    with pytest.raises(StoreLost):
        reader.document(UserProfile, user.pk, token=token, is_stale_fine=True)


# Parked documents


@pytest.fixture
def orders(store):
    """Two orders of one customer, projected, and then looked at once more."""
    customer = add_user()
    found = [add_order(customer), add_order(customer)]
    testing.drain(store)
    add_product()
    return found


@pytest.mark.parametrize(("parked", "are_stale"), [(["1"], [True, False]), ([], [False, False]), (None, [True, True])])
def test_parked_document_is_marked_and_no_other(store, reader, orders, parked, are_stale):
    say(store, parked={"OrderDetail": parked})
    found = [reader.document(OrderDetail, order.pk).freshness.is_stale for order in orders]
    assert found == are_stale
    assert [answer.freshness.is_stale for answer in reader.documents(OrderDetail, [1, 2])] == are_stale
    assert not reader.document(UserProfile, 1).freshness.is_stale


@pytest.mark.parametrize("parked", [["999"], None])
def test_parked_document_that_was_never_built_may_exist(store, reader, orders, parked):
    say(store, parked={"OrderDetail": parked})
    with pytest.raises(NotBuilt):
        reader.document(OrderDetail, 999, is_stale_fine=True)


def test_absent_document_beside_a_parked_one_is_absent(store, reader, orders):
    say(store, parked={"OrderDetail": ["1"]})
    assert reader.document(OrderDetail, 999).body is None


def test_document_built_after_it_was_parked_is_not_marked(store, reader, orders):
    say(store, parked={"OrderDetail": ["1"]})
    Order.objects.filter(pk=1).update(status="paid")
    projector.write(store, projector.read(store, range(8)))
    assert json.loads(reader.document(OrderDetail, 1).body)["status"] == "paid"
    assert not reader.document(OrderDetail, 1).freshness.is_stale


def test_any_document_may_be_the_parked_one_where_its_key_is_not_the_roots(store, reader):
    add_product(sku="A")
    testing.drain(store)
    add_user()
    say(store, parked={"ProductCard": ["7"]})
    assert reader.document(ProductCard, "A").freshness.is_stale
    with pytest.raises(NotBuilt):
        reader.document(ProductCard, "7")


def test_pages_beside_something_parked_are_marked(store, reader, orders):
    say(store, parked={"CustomerOrders": ["999"]})
    assert reader.page(CustomerOrders, orders[0].customer_id).freshness.is_stale
    [measures] = reader.measures(CustomerOrders, [orders[0].customer_id])
    assert measures.freshness.is_stale


def test_parked_document_is_too_stale_for_any_bound_at_once(store, reader, orders):
    say(store, parked={"OrderDetail": ["1"]})
    begun = time.monotonic()
    with pytest.raises(TooStale):
        reader.document(OrderDetail, 1, max_stale_seconds=1e9, wait_seconds=10)
    assert time.monotonic() - begun < 5
    assert reader.document(OrderDetail, 1, max_stale_seconds=1e9, is_stale_fine=True).freshness.is_stale
    assert not reader.document(OrderDetail, 2, max_stale_seconds=1e9).freshness.is_stale


def test_dead_letter_is_known_to_readers_until_it_is_gone(store, reader, orders):
    generation = models.Generation.objects.get(read_model="OrderDetail", state="live").number
    for key in ("1", "999"):
        failure = Failure("OrderDetail", generation, "orders_order", key, None, [], "poison", "")
        deadletters.park([failure], attempts=5)
    sweeping.publish_progress(store)
    assert [reader.document(OrderDetail, key).freshness.is_stale for key in (1, 2)] == [True, False]
    assert not reader.document(OrderDetail, 2, max_stale_seconds=60).freshness.is_stale
    with pytest.raises(NotBuilt):
        reader.document(OrderDetail, 999)
    for letter in deadletters.listed():
        deadletters.discard(letter.id)
    sweeping.publish_progress(store)
    assert not reader.document(OrderDetail, 1).freshness.is_stale
    assert reader.document(OrderDetail, 999).body is None


# What may not be read


def test_what_may_not_be_read_is_judged_like_what_is_not_there(store, reader):
    """Its own snapshot shows the write, which nothing says of what does not exist."""
    order = add_order(None)
    testing.drain(store)
    token = written(lambda: Order.objects.update(status="paid"))
    projector.write(store, projector.read(store, range(8)))
    asked = {"token": token, "wait_seconds": 0, "may_read": lambda body: False}
    assert reader.document(OrderDetail, order.pk, token=token, wait_seconds=0).body
    for key in (order.pk, 999):
        with pytest.raises(NotYet):
            reader.document(OrderDetail, key, **asked)
    testing.drain(store)
    assert [reader.document(OrderDetail, key, **asked).body for key in (order.pk, 999)] == [None, None]
