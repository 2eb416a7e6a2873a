"""The list of a customer's orders."""

from django.db.models import F, Q

from orders.models import Order
from orders.status import PAID
from readmodels.declare import Collection, Count, Sum


class CustomerOrders(Collection):
    """A customer's orders, newest first, counted and summed per status."""

    root = Order
    partition_by = F("customer_id")
    order_by = F("placed_at").desc()
    filter_by = ("status",)
    body = {
        "id": F("id"),
        "status": F("status"),
        "placed_at": F("placed_at"),
        "total_cents": F("total_cents"),
        "currency": F("currency"),
    }
    measures = {"orders": Count(), "spent_cents": Sum("total_cents", where=Q(status__in=PAID))}
