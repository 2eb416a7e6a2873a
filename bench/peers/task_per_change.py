"""One Celery task for each change, sent when it has committed: it loads the order by the ORM and keeps it as JSON."""

import json
import os
from typing import Any

import redis

from bench.peers.queue import app
from orders.models import Order

client = redis.Redis.from_url(os.environ["REDIS_URL"])


@app.task
def put_order(order_id: int) -> None:
    """The order is kept as it is now."""
    order = Order.objects.select_related("customer").prefetch_related("lines__product").get(pk=order_id)
    client.set(f"bench:order:{order_id}", json.dumps(_document(order)))


def _document(order: Order) -> dict[str, Any]:
    return {
        "id": order.pk,
        "status": order.status,
        "currency": order.currency,
        "total_cents": order.total_cents,
        "placed_at": order.placed_at.isoformat(),
        "updated_at": order.updated_at.isoformat(),
        "version": order.version,
        "customer": {"id": order.customer_id, "name": order.customer.name if order.customer else None},
        "lines": [
            {
                "position": line.position,
                "sku": line.product.sku,
                "name": line.product.name,
                "quantity": line.quantity,
                "price_cents": line.price_cents,
                "amount_cents": line.quantity * line.price_cents,
            }
            for line in sorted(order.lines.all(), key=lambda line: line.position)
        ],
    }
