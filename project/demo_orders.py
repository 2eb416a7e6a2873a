"""The orders of the demo: the older, the further they have come."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from orders.models import Order, OrderLine, Product
from orders.status import Status
from users.models import User

DAYS = 90
GUEST_SHARE = 0.1
ORDERS_OF_DEMO_CUSTOMER = 12
BATCH_ROWS = 1_000

# How orders of an age in days stand, with weights; an order that was paid has gone through the states before.
STANDS: list[tuple[float, dict[Status, int]]] = [
    (1, {Status.PLACED: 55, Status.PAID: 45}),
    (3, {Status.PLACED: 10, Status.PAID: 45, Status.SHIPPED: 40, Status.CANCELLED: 5}),
    (8, {Status.SHIPPED: 45, Status.DELIVERED: 48, Status.CANCELLED: 5, Status.REFUNDED: 2}),
    (DAYS + 1, {Status.DELIVERED: 91, Status.CANCELLED: 5, Status.REFUNDED: 4}),
]
VERSIONS = {
    Status.PLACED: 1,
    Status.PAID: 2,
    Status.CANCELLED: 2,
    Status.SHIPPED: 3,
    Status.REFUNDED: 3,
    Status.DELIVERED: 4,
}


def orders_by_age(
    count: int, demo_customer: User, users: list[User], random: Random, now: datetime
) -> Iterator[list[Order]]:
    """Yield orders not yet inserted, the oldest first, in batches; the demo customer has some over all the days."""
    ages = sorted((DAYS * random.random() for _ in range(count)), reverse=True)
    every = max(1, count // ORDERS_OF_DEMO_CUSTOMER)
    for first in range(0, count, BATCH_ROWS):
        numbers = range(first, min(first + BATCH_ROWS, count))
        yield [
            _order(demo_customer if number % every == 0 else _customer(users, random), ages[number], random, now)
            for number in numbers
        ]


def insert(orders: list[Order], products: list[Product], random: Random) -> None:
    """The orders are there, with lines of these products and their totals."""
    lines = [line for order in orders for line in _lines(order, products, random)]
    Order.objects.bulk_create(orders)
    OrderLine.objects.bulk_create(lines)


def _customer(users: list[User], random: Random) -> User | None:
    if not users or random.random() < GUEST_SHARE:
        return None
    # A few order often, most seldom: half of the orders belong to the first quarter.
    return users[int(len(users) * random.random() ** 2)]


def _order(customer: User | None, age_days: float, random: Random, now: datetime) -> Order:
    weights = next(weights for below_days, weights in STANDS if age_days < below_days)
    status = random.choices(list(weights), list(weights.values()))[0]
    placed_at = now - timedelta(days=age_days)
    moved_days = min(age_days, random.uniform(0, 2 * VERSIONS[status])) if VERSIONS[status] > 1 else 0
    return Order(
        customer=customer,
        status=status,
        placed_at=placed_at,
        updated_at=placed_at + timedelta(days=moved_days),
        version=VERSIONS[status],
    )


def _lines(order: Order, products: list[Product], random: Random) -> list[OrderLine]:
    count = min(len(products), random.choice((1, 1, 2, 2, 3, 4, 6)))
    lines = [
        OrderLine(
            order=order,
            position=position,
            product=bought,
            quantity=random.choice((1, 1, 1, 2, 3, 6, 12)),
            price_cents=bought.price_cents,
        )
        for position, bought in enumerate(random.sample(products, count), start=1)
    ]
    order.total_cents = sum(line.quantity * line.price_cents for line in lines)
    return lines
