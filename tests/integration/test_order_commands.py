"""Commands on products and orders, through their public functions, on a real PostgreSQL."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

import pytest
from django.db import IntegrityError, transaction

from orders import commands, errors
from orders.models import Order, OrderLine, Product
from orders.status import MOVES, Status
from tests.threads import at_once
from users.commands import deactivate_user, register_user
from users.errors import StaleVersion

STEPS: dict[Status, Callable[..., Order]] = {
    Status.PAID: commands.pay_order,
    Status.SHIPPED: commands.ship_order,
    Status.DELIVERED: commands.deliver_order,
    Status.CANCELLED: commands.cancel_order,
    Status.REFUNDED: commands.refund_order,
}
WAYS = {
    Status.PLACED: [],
    Status.PAID: [Status.PAID],
    Status.SHIPPED: [Status.PAID, Status.SHIPPED],
    Status.DELIVERED: [Status.PAID, Status.SHIPPED, Status.DELIVERED],
    Status.CANCELLED: [Status.CANCELLED],
    Status.REFUNDED: [Status.PAID, Status.REFUNDED],
}


@pytest.fixture
def products(db):
    commands.create_product(sku="A", name="Apple", price_cents=120, stock=10)
    commands.create_product(sku="B", name="Bread", price_cents=250, stock=10)


def stock_of(sku: str) -> int:
    return Product.objects.get(sku=sku).stock


def order_in(status: Status) -> Order:
    order = commands.place_order(customer_id=None, lines=[("A", 2)])
    for step in WAYS[status]:
        order = STEPS[step](order_id=order.pk)
    return order


def test_placed_order_holds_prices_and_takes_stock(products):
    order = commands.place_order(customer_id=None, lines=[("A", 2), ("B", 1), ("A", 3)])
    assert (order.status, order.total_cents, order.version) == ("placed", 850, 1)
    assert list(
        order.lines.order_by("position").values_list("position", "product__sku", "quantity", "price_cents")
    ) == [
        (1, "A", 2, 120),
        (2, "B", 1, 250),
        (3, "A", 3, 120),
    ]
    assert (stock_of("A"), stock_of("B")) == (5, 9)


def test_too_little_stock_names_the_product_and_takes_nothing(products):
    with pytest.raises(errors.NotEnoughStock) as refusal:
        commands.place_order(customer_id=None, lines=[("B", 1), ("A", 6), ("A", 5)])
    assert refusal.value.facts == {"sku": "A", "wanted": 11, "available": 10}
    assert (stock_of("A"), stock_of("B"), Order.objects.count()) == (10, 10, 0)


def test_unknown_products_are_all_named(products):
    with pytest.raises(errors.UnknownProducts) as refusal:
        commands.place_order(customer_id=None, lines=[("Y", 1), ("A", 1), ("X\x00", 1)])
    assert refusal.value.skus == ["X\x00", "Y"]


def test_currencies_do_not_mix_on_one_order(products):
    commands.create_product(sku="E", name="Euro thing", price_cents=1, stock=1, currency="EUR")
    with pytest.raises(errors.MixedCurrencies):
        commands.place_order(customer_id=None, lines=[("A", 1), ("E", 1)])
    assert stock_of("E") == 1


@pytest.mark.parametrize("quantity", [0, -1, 100_001, 10**20])
def test_impossible_quantities_are_refused(products, quantity):
    with pytest.raises(errors.InvalidQuantity):
        commands.place_order(customer_id=None, lines=[("A", quantity)])


def test_order_needs_a_line(db):
    with pytest.raises(errors.EmptyOrder):
        commands.place_order(customer_id=None, lines=[])


def test_order_has_at_most_500_lines(products):
    with pytest.raises(errors.TooManyLines):
        commands.place_order(customer_id=None, lines=[("A", 1)] * 501)


@pytest.mark.parametrize("customer_id", [0, 10**30])
def test_order_of_an_unknown_customer_is_refused(products, customer_id):
    with pytest.raises(errors.UnknownCustomer):
        commands.place_order(customer_id=customer_id, lines=[("A", 1)])


def test_inactive_customer_can_not_order(products):
    user = register_user(email="ada@example.com", name="Ada", password="horse-staple-battery")
    order = commands.place_order(customer_id=user.pk, lines=[("A", 1)])
    assert order.customer_id == user.pk
    deactivate_user(user_id=user.pk)
    with pytest.raises(errors.CustomerInactive):
        commands.place_order(customer_id=user.pk, lines=[("A", 1)])


def test_repricing_leaves_orders_there_alone(products):
    order = commands.place_order(customer_id=None, lines=[("A", 2)])
    product = commands.reprice_product(sku="A", price_cents=500)
    assert (product.price_cents, product.version) == (500, 3)
    assert OrderLine.objects.get(order=order).price_cents == 120


@pytest.mark.parametrize("to_status", STEPS)
@pytest.mark.parametrize("from_status", WAYS)
def test_orders_move_as_the_table_says_and_no_other_way(products, from_status, to_status):
    order = order_in(from_status)
    if to_status in MOVES[from_status]:
        assert STEPS[to_status](order_id=order.pk).status == to_status
    else:
        with pytest.raises(errors.MoveNotAllowed) as refusal:
            STEPS[to_status](order_id=order.pk)
        assert refusal.value.facts == {
            "from_status": from_status,
            "to_status": to_status,
            "allowed": list(MOVES[from_status]),
        }


@pytest.mark.parametrize(
    ("from_status", "to_status", "stock"),
    [
        (Status.PLACED, Status.CANCELLED, 10),
        (Status.PAID, Status.REFUNDED, 10),
        (Status.DELIVERED, Status.REFUNDED, 8),
    ],
)
def test_only_goods_that_never_left_go_back_on_the_shelf(products, from_status, to_status, stock):
    STEPS[to_status](order_id=order_in(from_status).pk)
    assert stock_of("A") == stock


def test_each_move_raises_version_and_time(products):
    order = order_in(Status.PLACED)
    paid = commands.pay_order(order_id=order.pk, expected_version=1)
    assert (paid.version, paid.updated_at > order.updated_at) == (2, True)


def test_move_decided_on_an_older_version_is_refused(products):
    order = order_in(Status.PAID)
    with pytest.raises(StaleVersion):
        commands.ship_order(order_id=order.pk, expected_version=1)


@pytest.mark.parametrize("order_id", [0, 10**30])
def test_unknown_order_is_not_found(db, order_id):
    with pytest.raises(errors.OrderNotFound):
        commands.pay_order(order_id=order_id)


def test_sku_is_given_once(products):
    with pytest.raises(errors.SkuTaken):
        commands.create_product(sku="A", name="Another", price_cents=1)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"sku": " "}, errors.InvalidSku),
        ({"sku": "x" * 65}, errors.InvalidSku),
        ({"name": "\x00"}, errors.InvalidProductName),
        ({"price_cents": -1}, errors.InvalidPrice),
        ({"price_cents": 10**20}, errors.InvalidPrice),
        ({"stock": -1}, errors.InvalidStock),
        ({"currency": "gbp"}, errors.InvalidCurrency),
        ({"currency": "GBP\n"}, errors.InvalidCurrency),
    ],
)
def test_products_that_can_not_be_are_refused(db, values, error):
    with pytest.raises(error):
        commands.create_product(**{"sku": "A", "name": "Apple", "price_cents": 1, **values})


def test_restocking_adds_and_takes(products):
    assert commands.restock_product(sku="A", quantity=5).stock == 15
    assert commands.restock_product(sku="A", quantity=-15).stock == 0
    with pytest.raises(errors.NotEnoughStock):
        commands.restock_product(sku="A", quantity=-1)
    with pytest.raises(errors.TooMuchStock):
        commands.restock_product(sku="A", quantity=10**9 + 1)


@pytest.mark.parametrize("sku", ["nowhere", "A\x00"])
def test_unknown_product_is_not_found(db, sku):
    with pytest.raises(errors.ProductNotFound):
        commands.rename_product(sku=sku, name="Name")


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Product, {"stock": -1}),
        (Product, {"sku": ""}),
        (Order, {"status": "lost"}),
        (Order, {"total_cents": -1}),
        (OrderLine, {"quantity": 0}),
        (OrderLine, {"price_cents": -1}),
    ],
)
def test_database_refuses_what_commands_would(products, model, values):
    order_in(Status.PLACED)
    with pytest.raises(IntegrityError), transaction.atomic():
        model.objects.update(**values)


def buy_both(first: str, second: str) -> int:
    """Buy one of each, fifty times; returns how often there was enough."""
    bought = 0
    for _ in range(50):
        with suppress(errors.NotEnoughStock):
            commands.place_order(customer_id=None, lines=[(first, 1), (second, 1)])
            bought += 1
    return bought


@pytest.mark.django_db(transaction=True)
def test_two_buyers_never_deadlock_nor_oversell():
    commands.create_product(sku="A", name="Apple", price_cents=1, stock=70)
    commands.create_product(sku="B", name="Bread", price_cents=1, stock=90)

    outcomes = at_once(lambda: buy_both("A", "B"), lambda: buy_both("B", "A"))
    assert sum(outcomes) == 70
    assert (stock_of("A"), stock_of("B")) == (0, 20)
    assert OrderLine.objects.count() == 140


@pytest.mark.django_db(transaction=True)
def test_of_paying_and_cancelling_exactly_one_wins():
    commands.create_product(sku="A", name="Apple", price_cents=1, stock=100)
    for _ in range(25):
        order_id = commands.place_order(customer_id=None, lines=[("A", 1)]).pk
        outcomes = at_once(
            partial(commands.pay_order, order_id=order_id), partial(commands.cancel_order, order_id=order_id)
        )
        refusals = [outcome for outcome in outcomes if isinstance(outcome, errors.MoveNotAllowed)]
        (winner,) = [outcome.status for outcome in outcomes if isinstance(outcome, Order)]
        assert len(refusals) == 1
        assert Order.objects.get(pk=order_id).status == winner
    cancelled = Order.objects.filter(status=Status.CANCELLED).count()
    assert stock_of("A") == 75 + cancelled
