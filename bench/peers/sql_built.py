"""The order as PostgreSQL makes it: finished JSON, with the entries of the read model OrderDetail."""

from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import F, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast, JSONObject

from orders.models import Order, OrderLine


def documents() -> QuerySet[Any, Any]:
    """(id, JSON) of all orders."""
    line = JSONObject(
        position="position",
        sku="product__sku",
        name="product__name",
        quantity="quantity",
        price_cents="price_cents",
        amount_cents=F("quantity") * F("price_cents"),
    )
    lines = OrderLine.objects.filter(order=OuterRef("pk")).order_by("position").values_list(line)
    body = JSONObject(
        id="id",
        status="status",
        currency="currency",
        total_cents="total_cents",
        placed_at="placed_at",
        updated_at="updated_at",
        version="version",
        customer=JSONObject(id="customer_id", name="customer__name"),
        lines=ArraySubquery(lines),
    )
    return Order.objects.order_by().annotate(body=Cast(body, TextField())).values_list("pk", "body")


def statement() -> str:
    """The same as text of SQL."""
    sql, params = documents().query.get_compiler(using=connection.alias).as_sql()
    return str(connection.ops.compose_sql(sql, params))  # type: ignore[attr-defined]  # PostgreSQL's only
