"""What was sold, per day and currency."""

from datetime import UTC

from django.db.models import F, Q
from django.db.models.functions import TruncDate

from orders.models import Order
from orders.status import PAID
from readmodels.declare import Collection, Count, ManySum, Sum


class SalesByDay(Collection):
    """Orders, items and revenue of one day (UTC), per currency; revenue is what was paid and not given back."""

    root = Order
    partition_by = TruncDate("placed_at", tzinfo=UTC)
    order_by = F("placed_at").desc()
    filter_by = ("currency",)
    body = {"id": F("id")}
    measures = {
        "orders": Count(),
        "items": Sum(ManySum("lines", F("quantity"))),
        "revenue_cents": Sum("total_cents", where=Q(status__in=PAID)),
    }
