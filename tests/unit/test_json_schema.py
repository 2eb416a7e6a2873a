"""The JSON schema of a read model, read off its declaration without a database."""

from datetime import UTC, datetime

import pytest
from django.db.models import F, Value
from django.db.models.functions import Coalesce, Lower

from orders.models import Order
from orders.query_views import OrderQuery
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from orders.readmodels.sales_by_day import SalesByDay
from readmodels.declare import Document, Many, ManyCount, ManySum, forget
from readmodels.errors import WrongDeclaration
from readmodels.query import Answer
from readmodels.schema import daily_schema, json_schema, page_schema
from readmodels.views import DocumentView
from readmodels.waiting import Freshness


@pytest.fixture
def declared():
    """A read model with one entry for each test to look at."""

    def declare(entry):
        model = type("Throwaway", (Document,), {"root": Order, "body": {"entry": entry}})
        return json_schema(model)["properties"]["entry"]

    yield declare
    forget("Throwaway")


def test_types_are_those_of_the_columns():
    properties = json_schema(OrderDetail)["properties"]
    assert properties["total_cents"] == {"type": "integer", "format": "int64"}
    assert properties["placed_at"] == {"type": "string", "format": "date-time"}
    assert properties["status"]["enum"][:2] == ["placed", "paid"]


def test_what_lies_behind_an_empty_foreign_key_may_be_null():
    customer = json_schema(OrderDetail)["properties"]["customer"]
    assert customer["properties"]["id"]["type"] == ["integer", "null"]
    assert customer["properties"]["name"]["type"] == ["string", "null"]
    assert customer["required"] == ["id", "name"]


def test_related_rows_are_a_list():
    lines = json_schema(OrderDetail)["properties"]["lines"]
    assert lines["items"]["properties"]["amount_cents"] == {"type": "integer", "format": "int64"}
    assert lines["items"]["properties"]["sku"] == {"type": "string"}


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (Coalesce(F("customer__name"), Value("")), "string"),
        (Lower("customer__name"), ["string", "null"]),
        (F("pk"), "integer"),
        (F("customer"), ["integer", "null"]),
        (ManySum("lines", F("quantity")), "integer"),
        (ManyCount("lines"), "integer"),
        (Many("lines", {"id": F("id")}), "array"),
    ],
)
def test_expressions_have_the_type_of_what_they_give(declared, entry, kind):
    assert declared(entry)["type"] == kind


def test_page_has_its_measures_by_filter():
    measures = page_schema(CustomerOrders, {})["properties"]["measures"]["properties"]
    assert list(measures["all"]["properties"]) == ["orders", "spent_cents"]
    assert "refunded" in measures["by_status"]["propertyNames"]["enum"]


def test_daily_rows_name_day_filter_and_measures():
    row = daily_schema(SalesByDay)["properties"]["results"]["items"]
    assert row["required"] == ["day", "currency", "orders", "items", "revenue_cents"]


def test_row_version_that_is_nested_too_is_refused():
    body = {"version": F("version"), "lines": Many("lines", {"version": F("quantity")})}
    model = type("Throwaway", (Document,), {"root": Order, "body": body})
    forget("Throwaway")
    with pytest.raises(WrongDeclaration, match="row_version"):
        type("View", (DocumentView,), {"read_model": model, "row_version": "version"})


def test_row_version_that_a_view_does_without_is_not_its_parents():
    plain = type("Plain", (OrderQuery,), {"row_version": None})
    answer = Answer(b'{"version" : 7}', Freshness(datetime.now(UTC), 0.0, "v"))
    assert (OrderQuery().etag(answer), plain().etag(answer)) == ('"7.v"', '"v"')
