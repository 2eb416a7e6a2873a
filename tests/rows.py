"""Rows for tests, with numbered names, where a test does not care what they hold."""

from itertools import count
from typing import Any

from orders.models import Order, OrderLine, Product
from users.models import User

_numbers = count(1)


def add_user(**fields: Any) -> User:
    number = next(_numbers)
    return User.objects.create_user(f"user{number}@example.com", **{"name": f"User {number}", **fields})


def add_product(**fields: Any) -> Product:
    number = next(_numbers)
    return Product.objects.create(**{"sku": f"SKU-{number}", "name": f"Product {number}", "price_cents": 250, **fields})


def add_order(customer: User | None, **fields: Any) -> Order:
    return Order.objects.create(customer=customer, **{"total_cents": 1000, **fields})


def add_line(order: Order, product: Product, **fields: Any) -> OrderLine:
    position = order.lines.count() + 1
    return OrderLine.objects.create(
        order=order, product=product, **{"position": position, "quantity": 1, "price_cents": 250, **fields}
    )
