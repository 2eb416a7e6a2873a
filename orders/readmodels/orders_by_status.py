"""The lists staff work from."""

from django.db.models import F

from orders.models import Order
from readmodels.declare import Collection, Count, Sum


class OrdersByStatus(Collection):
    """All orders of one status, newest first, with the customer's name."""

    root = Order
    partition_by = F("status")
    order_by = F("placed_at").desc()
    body = {
        "id": F("id"),
        "status": F("status"),
        "placed_at": F("placed_at"),
        "total_cents": F("total_cents"),
        "currency": F("currency"),
        "customer": {"id": F("customer_id"), "name": F("customer__name")},
    }
    measures = {"orders": Count(), "total_cents": Sum("total_cents")}
