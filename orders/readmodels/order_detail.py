"""The page of one order."""

from django.db.models import F

from orders.models import Order
from readmodels.declare import Document, Many


class OrderDetail(Document):
    """One order as its customer and staff see it."""

    root = Order
    body = {
        "id": F("id"),
        "status": F("status"),
        "currency": F("currency"),
        "total_cents": F("total_cents"),
        "placed_at": F("placed_at"),
        "updated_at": F("updated_at"),
        "version": F("version"),
        "customer": {"id": F("customer_id"), "name": F("customer__name")},
        "lines": Many(
            "lines",
            {
                "position": F("position"),
                "sku": F("product__sku"),
                "name": F("product__name"),
                "quantity": F("quantity"),
                "price_cents": F("price_cents"),
                "amount_cents": F("quantity") * F("price_cents"),
            },
            order_by="position",
        ),
    }
