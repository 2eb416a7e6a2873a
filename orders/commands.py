"""(1) What changes products and orders: each command is one transaction, returns the row and raises `orders.errors`.

A command that would change nothing writes nothing. Rows are locked before they are judged: first the customer or the
order, then products in key order. `expected_version` refuses to decide on a state that has passed (StaleVersion).
"""

import re
from collections.abc import Iterable
from contextlib import nullcontext
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from orders.errors import (
    CustomerInactive,
    ExternalRefTaken,
    InvalidCurrency,
    InvalidProductName,
    InvalidSku,
    MixedCurrencies,
    MoveNotAllowed,
    NotEnoughStock,
    OrderNotFound,
    ProductNotFound,
    SkuTaken,
    TooMuchStock,
    UnknownCustomer,
)
from orders.limits import LONGEST_NAME, LONGEST_SKU, MOST_STOCK, checked_lines, checked_price, checked_stock
from orders.models import CURRENCY_PATTERN, Order, OrderLine, Product
from orders.status import MOVES, RETURNS_STOCK, Status
from orders.stock import give_back, take
from users.constraints import refused_if_taken
from users.models import User
from users.text import clean_text, is_readable
from users.versions import change, require_version

SKU_IS_UNIQUE = "orders_product_sku_key"
EXTERNAL_REF_IS_UNIQUE = "orders_order_external_ref_key"


def create_product(*, sku: str, name: str, price_cents: int, stock: int = 0, currency: str = "GBP") -> Product:
    """A product can be ordered. Raises SkuTaken, InvalidSku, InvalidProductName, InvalidPrice, InvalidStock..."""
    if not re.fullmatch(CURRENCY_PATTERN, currency):
        raise InvalidCurrency(currency)
    product = Product(
        sku=clean_text(sku, "product code", LONGEST_SKU, InvalidSku),
        name=clean_text(name, "product name", LONGEST_NAME, InvalidProductName),
        price_cents=checked_price(price_cents),
        stock=checked_stock(stock),
        currency=currency,
    )
    with refused_if_taken(SKU_IS_UNIQUE, SkuTaken(product.sku)):
        product.save(force_insert=True)
    return product


@transaction.atomic
def reprice_product(*, sku: str, price_cents: int, expected_version: int | None = None) -> Product:
    """New orders pay this price; orders there are keep theirs. Raises ProductNotFound, InvalidPrice, StaleVersion."""
    return change(_locked_product(sku, expected_version), price_cents=checked_price(price_cents))


@transaction.atomic
def rename_product(*, sku: str, name: str, expected_version: int | None = None) -> Product:
    """The product has this name. Raises ProductNotFound, InvalidProductName, StaleVersion."""
    name = clean_text(name, "product name", LONGEST_NAME, InvalidProductName)
    return change(_locked_product(sku, expected_version), name=name)


@transaction.atomic
def restock_product(*, sku: str, quantity: int, expected_version: int | None = None) -> Product:
    """So many more are on the shelf; a negative quantity takes some off.

    Raises ProductNotFound, StaleVersion, NotEnoughStock, TooMuchStock.
    """
    product = _locked_product(sku, expected_version)
    stock = product.stock + quantity
    if stock < 0:
        raise NotEnoughStock(sku, wanted=-quantity, available=product.stock)
    if stock > MOST_STOCK:
        raise TooMuchStock(sku, stock=product.stock, most=MOST_STOCK)
    return change(product, stock=stock)


@transaction.atomic
def place_order(
    *,
    customer_id: int | None,
    lines: Iterable[tuple[str, int]],
    placed_at: datetime | None = None,
    external_ref: str | None = None,
) -> Order:
    """An order of these (sku, quantity) stands at today's prices, and its goods are off the shelf.

    A customer_id of None is a guest. The same sku may stand on several lines. Raises EmptyOrder, TooManyLines,
    InvalidQuantity, UnknownProducts, UnknownCustomer, CustomerInactive, NotEnoughStock, MixedCurrencies,
    ExternalRefTaken.
    """
    lines = checked_lines(lines)
    _check_customer(customer_id)
    products = take(lines)
    currencies = {product.currency for product in products.values()}
    if len(currencies) > 1:
        raise MixedCurrencies(currencies)
    now = timezone.now()
    order = Order(
        customer_id=customer_id,
        total_cents=sum(products[sku].price_cents * quantity for sku, quantity in lines),
        currency=currencies.pop(),
        placed_at=placed_at or now,
        updated_at=now,
        external_ref=external_ref,
    )
    # Without a name nothing can be taken, and no savepoint is paid for.
    with refused_if_taken(EXTERNAL_REF_IS_UNIQUE, ExternalRefTaken(external_ref)) if external_ref else nullcontext():
        order.save(force_insert=True)
    OrderLine.objects.bulk_create(
        OrderLine(
            order=order,
            position=position,
            product=products[sku],
            quantity=quantity,
            price_cents=products[sku].price_cents,
        )
        for position, (sku, quantity) in enumerate(lines, start=1)
    )
    return order


def pay_order(*, order_id: int, expected_version: int | None = None) -> Order:
    """The order is paid. Raises OrderNotFound, StaleVersion, MoveNotAllowed."""
    return _move(order_id, Status.PAID, expected_version)


def ship_order(*, order_id: int, expected_version: int | None = None) -> Order:
    """The order is on its way. Raises OrderNotFound, StaleVersion, MoveNotAllowed."""
    return _move(order_id, Status.SHIPPED, expected_version)


def deliver_order(*, order_id: int, expected_version: int | None = None) -> Order:
    """The order has arrived. Raises OrderNotFound, StaleVersion, MoveNotAllowed."""
    return _move(order_id, Status.DELIVERED, expected_version)


def cancel_order(*, order_id: int, expected_version: int | None = None) -> Order:
    """The unpaid order is off, its goods are on the shelf again. Raises OrderNotFound, StaleVersion, MoveNotAllowed."""
    return _move(order_id, Status.CANCELLED, expected_version)


def refund_order(*, order_id: int, expected_version: int | None = None) -> Order:
    """The customer has the money back; goods that never left are on the shelf again, delivered ones are not.

    Raises OrderNotFound, StaleVersion, MoveNotAllowed.
    """
    return _move(order_id, Status.REFUNDED, expected_version)


@transaction.atomic
def _move(order_id: int, to_status: Status, expected_version: int | None) -> Order:
    order = Order.objects.select_for_update(no_key=True).filter(pk=order_id).first()
    if order is None:
        raise OrderNotFound(order_id)
    require_version(order, expected_version)
    from_status = Status(order.status)
    if to_status not in MOVES[from_status]:
        raise MoveNotAllowed(from_status, to_status, MOVES[from_status])
    if (from_status, to_status) in RETURNS_STOCK:
        give_back(order)
    return change(order, status=to_status, updated_at=timezone.now())


def _locked_product(sku: str, expected_version: int | None) -> Product:
    products = Product.objects.select_for_update(no_key=True).filter(sku=sku)
    product = products.first() if is_readable(sku) else None
    if product is None:
        raise ProductNotFound([sku])
    require_version(product, expected_version)
    return product


def _check_customer(customer_id: int | None) -> None:
    if customer_id is None:
        return
    # Locked, so that a deactivation either comes first and is seen, or waits for the order.
    customer = User.objects.select_for_update(no_key=True).filter(pk=customer_id).only("is_active").first()
    if customer is None:
        raise UnknownCustomer(customer_id)
    if not customer.is_active:
        raise CustomerInactive(customer_id)
