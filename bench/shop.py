"""A shop to measure on: customers with orders of five lines, each document about 1 KB; made in bulk, then projected."""

from datetime import UTC, datetime, timedelta

from django.db import connection

from orders.models import Order, OrderLine, Product
from orders.status import Status
from readmodels import connection as redis_connection
from readmodels import testing
from readmodels.store import Store
from users.models import User

LINES = 5
PRODUCTS = 100
BATCH_ROWS = 5_000
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


TOTALS = """UPDATE orders_order SET total_cents =
    (SELECT COALESCE(sum(quantity * price_cents), 0) FROM orders_orderline WHERE order_id = orders_order.id)"""


def fill(orders: int, customers: int, lines: int = LINES) -> None:
    """So many orders, dealt out to the customers in turn, are all there is in the write model; nothing is projected."""
    testing.reset(Store())
    products = _products()
    users = _customers(customers)
    for first in range(0, orders, BATCH_ROWS):
        _insert(range(first, min(first + BATCH_ROWS, orders)), users, products, lines)
    with connection.cursor() as cursor:
        cursor.execute(TOTALS)
        cursor.execute("TRUNCATE readmodels_change")
        cursor.execute("VACUUM ANALYZE")


def project() -> None:
    """Every document is built anew, as after the loss of Redis."""
    redis_connection.read_models().flushall()
    testing.drain(Store())


def _products() -> list[Product]:
    return Product.objects.bulk_create(
        Product(sku=f"SKU-{n:05d}", name=f"A product of some length, {n:05d}", price_cents=250 + n, stock=10**6)
        for n in range(PRODUCTS)
    )


def _customers(count: int) -> list[User]:
    return User.objects.bulk_create(
        [User(email=f"customer{n}@example.com", name=f"Customer {n:06d}", password="!") for n in range(count)],
        batch_size=BATCH_ROWS,
    )


def _insert(numbers: range, users: list[User], products: list[Product], lines: int) -> None:
    orders = Order.objects.bulk_create(
        Order(customer=users[n % len(users)], status=Status.PAID, placed_at=BEGUN + timedelta(minutes=n))
        for n in numbers
    )
    OrderLine.objects.bulk_create(
        OrderLine(order=order, position=line + 1, product=product, quantity=1 + line, price_cents=product.price_cents)
        for n, order in zip(numbers, orders, strict=True)
        for line in range(lines)
        for product in [products[(n * lines + line) % PRODUCTS]]
    )
