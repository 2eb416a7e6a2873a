"""An order as JSON, loaded by the ORM in three queries."""

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from orders.models import Order, OrderLine

ORDERS = Order.objects.select_related("customer").prefetch_related("lines__product")


def document(order_id: int) -> str:
    """The order with its customer and lines."""
    return json.dumps(_entries(ORDERS.get(pk=order_id)), cls=DjangoJSONEncoder)


def _entries(order: Order) -> dict[str, Any]:
    names = ("id", "status", "currency", "total_cents", "placed_at", "updated_at", "version")
    lines = sorted(order.lines.all(), key=lambda line: line.position)
    return {
        **{name: getattr(order, name) for name in names},
        "customer": {"id": order.customer_id, "name": order.customer.name if order.customer else None},
        "lines": [_line(line) for line in lines],
    }


def _line(line: OrderLine) -> dict[str, Any]:
    return {
        "position": line.position,
        "sku": line.product.sku,
        "name": line.product.name,
        "quantity": line.quantity,
        "price_cents": line.price_cents,
        "amount_cents": line.quantity * line.price_cents,
    }
