"""Reading: with a consistency token, page by page, and by measure."""

import json
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import F

from orders.models import Order, Product
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from orders.readmodels.orders_by_status import OrdersByStatus
from orders.readmodels.product_card import ProductCard
from orders.readmodels.sales_by_day import SalesByDay
from readmodels import consistency, models, projector, sweeping, testing
from readmodels.consistency import Token
from readmodels.errors import CannotSay, NotYet, WrongCursor, WrongToken
from readmodels.query import Page, Reader, days
from readmodels.store import Store
from tests.rows import add_line, add_order, add_product, add_user
from users.models import User
from users.readmodels.user_profile import UserProfile

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def reader(store: Store) -> Reader:
    return Reader(store)


def written(write: Callable[[], object]) -> Token:
    """The token of a write."""
    with consistency.recorded() as recorded:
        write()
    assert recorded.token
    return recorded.token


def ids(page: Page) -> list[int]:
    return [json.loads(row)["id"] for row in page.rows]


def name_of(answer: Any) -> str | None:
    return answer.body and json.loads(answer.body)["name"]


# Read your writes


def test_token_waits_for_its_write(projecting, reader):
    user = add_user()
    for number in range(30):
        token = written(lambda number=number: User.objects.update(name=f"Name {number}"))
        assert name_of(reader.document(UserProfile, user.pk, token=token)) == f"Name {number}"


def test_token_waits_for_rows_and_measures(projecting, reader):
    customer = add_user()
    for number in range(1, 20):
        token = written(lambda: add_order(customer, total_cents=10, status="paid"))
        page = reader.page(CustomerOrders, customer.pk, token=token, limit=100)
        assert (len(page.rows), page.measures[""]) == (number, {"orders": number, "spent_cents": 10 * number})


def test_token_without_projector_is_not_yet_within_the_bound(store, reader):
    user = add_user()
    testing.drain(store)
    token = written(lambda: User.objects.update(name="New"))
    begun = time.monotonic()
    with pytest.raises(NotYet, match=r"not in UserProfile after 0\.1 s"):
        reader.document(UserProfile, user.pk, token=token, wait_seconds=0.1)
    assert time.monotonic() - begun < 1


def test_wait_has_an_upper_bound(store):
    user = add_user()
    testing.drain(store)
    token = written(lambda: User.objects.update(name="New"))
    ticks = iter(range(0, 1000, 6))
    with pytest.raises(NotYet, match="after 10 s"):
        Reader(store, clock=lambda: next(ticks)).document(UserProfile, user.pk, token=token, wait_seconds=1e9)


def test_no_token_takes_what_there_is(store, reader):
    user = add_user(name="Old")
    testing.drain(store)
    User.objects.update(name="New")
    assert name_of(reader.document(UserProfile, user.pk)) == "Old"


def test_untouched_document_is_judged_by_progress(store, reader):
    user, order = add_user(), add_order(None)
    testing.drain(store)
    token = written(lambda: Order.objects.update(version=F("version") + 1))
    with pytest.raises(NotYet):
        reader.document(UserProfile, user.pk, token=token, wait_seconds=0)
    with pytest.raises(NotYet):
        reader.document(OrderDetail, order.pk, token=token, wait_seconds=0)
    testing.drain(store)
    assert reader.document(UserProfile, user.pk, token=token, wait_seconds=0).body
    assert reader.document(OrderDetail, order.pk, token=token, wait_seconds=0).body


def test_absent_document_is_judged_by_progress(store, reader):
    token = written(add_user)
    with pytest.raises(NotYet):
        reader.document(ProductCard, "none", token=token, wait_seconds=0)
    testing.drain(store)
    assert reader.document(ProductCard, "none", token=token, wait_seconds=0).body is None


def test_page_is_judged_by_progress(store, reader):
    add_order(customer := add_user())
    testing.drain(store)
    token = written(lambda: add_order(customer))
    with pytest.raises(NotYet):
        reader.page(CustomerOrders, customer.pk, token=token, wait_seconds=0)
    with pytest.raises(NotYet):
        reader.measures(CustomerOrders, [customer.pk], token=token, wait_seconds=0)
    testing.drain(store)
    assert len(reader.page(CustomerOrders, customer.pk, token=token, wait_seconds=0).rows) == 2
    [page] = reader.measures(CustomerOrders, [customer.pk], token=token, wait_seconds=0)
    assert page.measures[""]["orders"] == 2


def test_write_that_no_read_model_uses_gives_no_token(store):
    add_user()
    with consistency.recorded() as recorded:
        User.objects.update(password="x")
    assert recorded.token is None


def test_open_transaction_of_another_makes_no_token_wait(store, reader):
    one, other = add_user(), add_user()
    testing.drain(store)
    with psycopg.connect(**connection.get_connection_params()) as writer:
        writer.execute("UPDATE users_user SET name = 'Slow' WHERE id = %s", [other.pk])
        token = written(lambda: User.objects.filter(pk=one.pk).update(name="Quick"))
        testing.drain(store)
        assert name_of(reader.document(UserProfile, one.pk, token=token, wait_seconds=0)) == "Quick"
        assert reader.document(UserProfile, 999, token=token, wait_seconds=0).body is None
        writer.commit()


def test_document_built_while_the_write_was_open_does_not_include_it(store, reader):
    """Its version may be higher than the writer's transaction id: what counts is whom its snapshot shows as ended."""
    order, product = add_order(None), add_product(name="Apple")
    add_line(order, product)
    testing.drain(store)
    with psycopg.connect(**connection.get_connection_params()) as writer:
        writer.execute("UPDATE orders_product SET name = 'Pear'")
        [xid] = writer.execute("SELECT pg_current_xact_id()::text::bigint").fetchone()
        Order.objects.update(version=F("version") + 1)
        testing.drain(store)
        writer.commit()
    token = Token(models.Clock.objects.get().epoch, xid)
    for of, key in ((OrderDetail, order.pk), (ProductCard, product.sku), (ProductCard, "none")):
        with pytest.raises(NotYet):
            reader.document(of, key, token=token, wait_seconds=0)
    testing.drain(store)
    answer = reader.document(OrderDetail, order.pk, token=token, wait_seconds=0)
    assert json.loads(answer.body)["lines"][0]["name"] == "Pear"


def test_pending_change_of_another_makes_no_token_wait(store, reader):
    one, other = add_user(), add_user()
    testing.drain(store)
    token = written(lambda: User.objects.filter(pk=one.pk).update(name="Quick"))
    testing.drain(store)
    later = written(lambda: User.objects.filter(pk=other.pk).update(name="Later"))
    sweeping.publish_progress(store)
    assert reader.document(UserProfile, 999, token=token, wait_seconds=0).body is None
    with pytest.raises(NotYet):
        reader.document(UserProfile, 999, token=later, wait_seconds=0)


def test_change_to_another_read_model_makes_no_token_wait(store, reader):
    add_user()
    add_product()
    testing.drain(store)
    token = written(lambda: Product.objects.update(name="Pear"))
    sweeping.publish_progress(store)
    assert reader.document(UserProfile, 999, token=token, wait_seconds=0).body is None
    with pytest.raises(NotYet):
        reader.document(ProductCard, "none", token=token, wait_seconds=0)


def test_one_shard_projected_does_not_pass_for_all(store, reader):
    """A projector of one shard says nothing about what another shard still holds."""
    users = [add_user() for _ in range(20)]
    testing.drain(store)
    token = written(lambda: User.objects.update(name="New"))
    for shard in range(7):
        projector.project(store, [shard])
        for user in users:
            try:
                assert name_of(reader.document(UserProfile, user.pk, token=token, wait_seconds=0)) == "New"
            except NotYet:
                continue
    with pytest.raises(NotYet):
        reader.document(UserProfile, 999, token=token, wait_seconds=0)
    projector.project(store, [7])
    assert reader.document(UserProfile, 999, token=token, wait_seconds=0).body is None


def test_several_documents_wait_for_one_token(projecting, reader):
    users = [add_user() for _ in range(3)]
    token = written(lambda: User.objects.update(name="New"))
    answers = reader.documents(UserProfile, [*(user.pk for user in users), 999], token=token)
    assert [name_of(answer) for answer in answers] == ["New", "New", "New", None]


def test_nothing_written_gives_no_token(store):
    with consistency.recorded() as recorded:
        User.objects.count()
    assert recorded.token is None


def test_write_in_a_savepoint_counts_for_its_transaction(store, reader):
    def write() -> None:
        with transaction.atomic():
            add_product(sku="A")

    token = written(write)
    testing.drain(store)
    assert reader.document(ProductCard, "A", token=token, wait_seconds=0).body


def test_token_of_before_a_crash_is_judged(store, reader):
    user = add_user()
    testing.drain(store)
    token = written(lambda: User.objects.update(name="New"))
    crash()
    testing.drain(store)
    assert name_of(reader.document(UserProfile, user.pk, token=token, wait_seconds=0)) == "New"
    assert reader.document(UserProfile, 999, token=token, wait_seconds=0).body is None


def test_token_of_another_timeline_cannot_be_judged(store, reader):
    token = written(add_user)
    testing.drain(store)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE readmodels_clock SET server = 'another/00000001/1'")
    testing.drain(store)
    with pytest.raises(CannotSay):
        reader.document(UserProfile, 999, token=token, wait_seconds=0)


def crash() -> None:
    """What a crash recovery does to an UNLOGGED table."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM readmodels_witness")


def test_token_survives_its_text(store):
    token = written(add_user)
    assert consistency.parse(str(token)) == token


@pytest.mark.parametrize("text", ["", "x", "1.2", "1.2:x", "1.2:" + "A" * 43, "\x00", "ü", ":", "9" * 5000])
def test_garbage_is_no_token(text):
    with pytest.raises(WrongToken):
        consistency.parse(text)


def test_altered_token_is_no_token(store):
    text = str(written(add_user))
    with pytest.raises(WrongToken):
        consistency.parse("9" + text)


# Documents


def test_deleted_row_is_no_document(store, reader):
    user = add_user()
    testing.drain(store)
    user.delete()
    testing.drain(store)
    assert reader.document(UserProfile, user.pk).body is None
    assert reader.document(UserProfile, 999).body is None


def test_version_changes_with_the_document_only(store, reader):
    one, other = add_user(), add_user()
    testing.drain(store)
    before = reader.document(UserProfile, one.pk).version
    User.objects.filter(pk=other.pk).update(name="New")
    testing.drain(store)
    assert reader.document(UserProfile, one.pk).version == before
    User.objects.filter(pk=one.pk).update(name="New")
    testing.drain(store)
    assert reader.document(UserProfile, one.pk).version > before


def test_lag_is_the_age_of_the_oldest_change(store, reader):
    user = add_user()
    testing.drain(store)
    assert reader.document(UserProfile, user.pk).freshness.lag_seconds == 0
    User.objects.update(name="New")
    sweeping.publish_progress(store)
    assert 0 < reader.document(UserProfile, user.pk).freshness.lag_seconds < 60
    assert reader.document(ProductCard, "none").freshness.lag_seconds == 0


# Pages


def walk(
    reader: Reader, customer: User, limit: int, between: Callable[[], object] = lambda: None, **given
) -> list[int]:
    """The ids of all pages."""
    found, cursor = [], None
    for _ in range(1000):
        page = reader.page(CustomerOrders, customer.pk, cursor=cursor, limit=limit, **given)
        found += ids(page)
        cursor = page.next_cursor
        if cursor is None:
            return found
        between()
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("limit", [1, 3, 7, 10, 11, 100])
def test_pages_walk_the_partition_once_in_order(store, reader, limit):
    customer, other = add_user(), add_user()
    for number in range(10):
        add_order(customer, placed_at=NOON + timedelta(seconds=number * 7 % 10))
        add_order(other)
    testing.drain(store)
    expected = Order.objects.filter(customer=customer).order_by("-placed_at", "-pk").values_list("pk", flat=True)
    assert walk(reader, customer, limit) == list(expected)


def test_rows_of_one_moment_come_in_falling_order_of_key(store, reader):
    customer = add_user()
    orders = [add_order(customer, pk=pk, placed_at=NOON) for pk in (2, 10, 9, 100, 1)]
    testing.drain(store)
    assert walk(reader, customer, 2) == sorted((order.pk for order in orders), reverse=True)


def test_moments_differ_by_microseconds(store, reader):
    customer = add_user()
    early, late = (add_order(customer, placed_at=NOON + timedelta(microseconds=n)) for n in (1, 2))
    Order.objects.filter(pk=early.pk).update(placed_at=NOON + timedelta(microseconds=3))
    testing.drain(store)
    assert walk(reader, customer, 1) == [early.pk, late.pk]


def test_pages_walk_once_while_rows_come_and_move(store, reader):
    customer, other = add_user(), add_user()
    staying = [add_order(customer, placed_at=NOON + timedelta(minutes=n)).pk for n in range(12)]
    passing = [add_order(customer, placed_at=NOON + timedelta(minutes=n, seconds=30)).pk for n in range(12)]
    testing.drain(store)
    numbers = iter(range(100))

    def change() -> None:
        number = next(numbers)
        add_order(customer, placed_at=NOON + timedelta(minutes=number % 12, seconds=10))
        Order.objects.filter(pk=passing[number % 12]).update(customer=other)
        Order.objects.filter(pk=passing[-1 - number % 12]).update(placed_at=NOON + timedelta(hours=number))
        Order.objects.filter(pk=staying[number % 12]).update(total_cents=number)
        testing.drain(store)

    found = walk(reader, customer, 3, between=change)
    assert [pk for pk in found if pk in staying] == staying[::-1]


def test_filtered_pages_hold_the_filtered_rows(store, reader):
    customer = add_user()
    for number in range(9):
        add_order(customer, status=("placed", "paid", "shipped")[number % 3], placed_at=NOON + timedelta(hours=number))
    testing.drain(store)
    expected = Order.objects.filter(status="paid").order_by("-placed_at").values_list("pk", flat=True)
    assert walk(reader, customer, 2, filters={"status": "paid"}) == list(expected)
    assert walk(reader, customer, 2, filters={"status": "refunded"}) == []


def test_unknown_partition_is_empty(store, reader):
    page = reader.page(CustomerOrders, 999)
    assert (page.rows, page.next_cursor, page.measures) == ([], None, {"": {"orders": 0, "spent_cents": 0}})


def test_limit_is_kept_within_bounds(store, reader):
    customer = add_user()
    Order.objects.bulk_create(Order(customer=customer, placed_at=NOON) for _ in range(130))
    testing.drain(store)
    assert [len(reader.page(CustomerOrders, customer.pk, limit=n).rows) for n in (-5, 0, 1, 100, 10**9)] == [
        1,
        1,
        1,
        100,
        100,
    ]


def test_cursor_of_another_list_is_refused(store, reader):
    customer, other = add_user(), add_user()
    for _ in range(3):
        add_order(customer)
        add_order(other)
    testing.drain(store)
    cursor = reader.page(CustomerOrders, customer.pk, limit=1).next_cursor
    assert cursor
    for given in (
        {"partition": other.pk},
        {"partition": customer.pk, "filters": {"status": "placed"}},
        {"of": OrdersByStatus, "partition": customer.pk},
    ):
        with pytest.raises(WrongCursor):
            reader.page(**{"of": CustomerOrders, "cursor": cursor, **given})


@pytest.mark.parametrize("cursor", ["", "x", "eA:x", "\x00", "ü", "A" * 5000])
def test_garbage_is_no_cursor(store, reader, cursor):
    with pytest.raises(WrongCursor):
        reader.page(CustomerOrders, 1, cursor=cursor)


def test_filter_that_is_not_declared_is_an_error(store, reader):
    with pytest.raises(ValueError, match="CustomerOrders has no filter colour"):
        reader.page(CustomerOrders, 1, {"colour": "red"})


# Measures


def test_measures_match_the_rows_of_each_facet(store, reader):
    customer = add_user()
    for number, status in enumerate(("placed", "paid", "paid", "shipped", "cancelled")):
        add_order(customer, status=status, total_cents=10**number)
    testing.drain(store)
    assert reader.page(CustomerOrders, customer.pk).measures == {
        "": {"orders": 5, "spent_cents": 1110},
        "status=placed": {"orders": 1, "spent_cents": 0},
        "status=paid": {"orders": 2, "spent_cents": 110},
        "status=shipped": {"orders": 1, "spent_cents": 1000},
        "status=cancelled": {"orders": 1, "spent_cents": 0},
    }


def test_measures_follow_moves_and_deletions(store, reader):
    one, other = add_user(), add_user()
    orders = [add_order(one, status="paid", total_cents=100) for _ in range(3)]
    testing.drain(store)
    Order.objects.filter(pk=orders[0].pk).update(customer=other)
    Order.objects.filter(pk=orders[1].pk).delete()
    testing.drain(store)
    Order.objects.filter(pk=orders[2].pk).update(status="refunded")
    testing.drain(store)
    pages = reader.measures(CustomerOrders, [one.pk, other.pk])
    assert [page.measures[""] for page in pages] == [
        {"orders": 1, "spent_cents": 0},
        {"orders": 1, "spent_cents": 100},
    ]


def test_days_are_measured_one_by_one(store, reader):
    for day in (0, 0, 2):
        order = add_order(None, status="paid", total_cents=100, currency="EUR", placed_at=NOON + timedelta(days=day))
        add_line(order, add_product(), quantity=3)
    testing.drain(store)
    found = reader.measures(SalesByDay, days(NOON.date(), NOON.date() + timedelta(days=2)))
    assert [page.measures[""]["items"] for page in found] == [6, 0, 3]
    assert found[0].measures["currency=EUR"] == {"orders": 2, "items": 6, "revenue_cents": 200}


def test_sums_beyond_doubles_are_exact(store, reader):
    customer = add_user()
    for total in (2**49 + 1, 2**49, 1):
        add_order(customer, status="paid", total_cents=total)
    Order.objects.bulk_create(Order(customer=customer, status="paid", total_cents=2**49) for _ in range(30))
    testing.drain(store)
    assert reader.page(CustomerOrders, customer.pk).measures[""]["spent_cents"] == 32 * 2**49 + 2
    testing.assert_law(store)


def test_page_and_counts_agree_at_any_moment(projecting, reader):
    customer, other = add_user(), add_user()
    orders = [add_order(customer) for _ in range(20)]
    is_over = threading.Event()

    def move() -> None:
        for number in range(60):
            order = orders[number % 20]
            Order.objects.filter(pk=order.pk).update(customer=other if number % 3 else customer)
        connection.close()
        is_over.set()

    thread = threading.Thread(target=move)
    thread.start()
    while not is_over.is_set():
        page = reader.page(CustomerOrders, customer.pk, limit=100)
        assert len(page.rows) == page.measures[""]["orders"]
    thread.join()
