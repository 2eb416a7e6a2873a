"""What a read model depends on is read off its declaration: table, column and the way there from the root."""

from datetime import UTC

import pytest
from django.contrib.auth.models import Permission
from django.db import models
from django.db.models import Case, F, OneToOneField, Q, Value, When
from django.db.models.functions import Coalesce, Lower, TruncDate
from django.test.utils import isolate_apps
from knox.models import AuthToken

from orders.models import Order, OrderLine, Product
from readmodels import declare
from readmodels.declare import Collection, Count, Document, Many, ManyCount, ManySum, Sum
from readmodels.errors import WrongDeclaration
from readmodels.graph import columns_of, uses
from users.models import User


@pytest.fixture(autouse=True)
def forgotten():
    """The registry is afterwards as it was."""
    before = set(declare.declared())
    yield
    for name in set(declare.declared()) - before:
        declare.forget(name)


def reading(body, root=Order, **attributes) -> set[str]:
    """What a document of this body depends on: `column` of the root, `way>table.column` elsewhere; the key left out."""
    document = type("Throwaway", (Document,), {"root": root, "body": body, **attributes})
    return described(document) - {root._meta.pk.column}


def described(read_model) -> set[str]:
    return {_described(use) for use in uses(read_model)}


def _described(use) -> str:
    way = "".join(f"{hop.far_column if hop.is_reverse else hop.near_column}>" for hop in use.path)
    return f"{way}{use.model._meta.db_table}.{use.column}" if use.path else use.column


# What is followed


FOLLOWED = {
    "column": (F("status"), {"status"}),
    "name of a column": ("status", {"status"}),
    "constant": (Value("x"), set()),
    "number": (7, set()),
    "arithmetic": (F("total_cents") * F("version") + 1, {"total_cents", "version"}),
    "function": (Lower(Coalesce("status", "currency")), {"status", "currency"}),
    "nested body": ({"a": {"b": F("status")}, "c": F("version")}, {"status", "version"}),
    "condition": (
        Case(When(status="currency", then=F("total_cents")), default=F("version")),
        {"status", "total_cents", "version"},
    ),
    "condition between columns": (
        Case(When(Q(placed_at__lt=F("updated_at")) | ~Q(version=1), then=Value(1))),
        {"placed_at", "updated_at", "version"},
    ),
    "condition over a list of columns": (
        Case(When(version__in=[F("id"), F("total_cents")], then=Value(1))),
        {"version", "total_cents"},
    ),
    "condition over a list of texts": (Case(When(status__in=["currency"], then=Value(1))), {"status"}),
    "foreign key": (F("customer"), {"customer_id"}),
    "foreign key's column": (F("customer_id"), {"customer_id"}),
    "other side's key, kept here": (F("customer__id"), {"customer_id"}),
    "other side's key by pk": (F("customer__pk"), {"customer_id"}),
    "lookup on the foreign key": (Case(When(customer__isnull=True, then=Value(1))), {"customer_id"}),
    "other side's column": (F("customer__name"), {"customer_id", "customer_id>users_user.name"}),
    "transform of other side's column": (
        Case(When(customer__created_at__year=2026, then=Value(1))),
        {"customer_id", "customer_id>users_user.created_at"},
    ),
    "related rows": (
        Many("lines", {"sku": F("product__sku")}, order_by="-position"),
        {
            "order_id>orders_orderline.order_id",
            "order_id>orders_orderline.position",
            "order_id>orders_orderline.product_id",
            "order_id>product_id>orders_product.sku",
        },
    ),
    "related rows by key": (
        Many("lines", {}),
        {"order_id>orders_orderline.order_id", "order_id>orders_orderline.id"},
    ),
    "some related rows": (
        Many("lines", {}, order_by="position", where=Q(product__stock__gt=0)),
        {
            "order_id>orders_orderline.order_id",
            "order_id>orders_orderline.position",
            "order_id>orders_orderline.product_id",
            "order_id>product_id>orders_product.stock",
        },
    ),
    "sum of related rows": (
        ManySum("lines", F("quantity") * F("price_cents")),
        {
            "order_id>orders_orderline.order_id",
            "order_id>orders_orderline.quantity",
            "order_id>orders_orderline.price_cents",
        },
    ),
    "number of related rows": (
        ManyCount("lines", where=Q(quantity__gt=1)),
        {"order_id>orders_orderline.order_id", "order_id>orders_orderline.quantity"},
    ),
}


@pytest.mark.parametrize(("value", "expected"), FOLLOWED.values(), ids=FOLLOWED)
def test_body_is_followed(value, expected):
    assert reading({"value": value}) == expected


def test_related_rows_of_related_rows_are_followed():
    found = reading({"orders": Many("orders", {"items": ManyCount("lines")}, order_by="placed_at")}, root=User)
    assert found == {
        "customer_id>orders_order.customer_id",
        "customer_id>orders_order.placed_at",
        "customer_id>order_id>orders_orderline.order_id",
    }


def test_condition_on_the_root_is_followed():
    found = reading({}, where=Q(customer__is_active=True, status="paid"))
    assert found == {"status", "customer_id", "customer_id>users_user.is_active"}


def test_key_is_followed():
    assert reading({}, root=Product, key=F("sku")) == {"sku"}
    assert reading({}, root=AuthToken, key=F("pk")) == set()


def test_all_parts_of_a_collection_are_followed():
    class Throwaway(Collection):
        root = Order
        partition_by = TruncDate("placed_at", tzinfo=UTC)
        order_by = F("updated_at").desc()
        filter_by = ("currency",)
        measures = {
            "paid": Count(where=Q(status="paid")),
            "spent": Sum("total_cents", where=Q(external_ref=None)),
            "items": Sum(ManySum("lines", "quantity")),
        }

    assert described(Throwaway) == {
        "id",
        "placed_at",
        "updated_at",
        "currency",
        "status",
        "total_cents",
        "external_ref",
        "order_id>orders_orderline.order_id",
        "order_id>orders_orderline.quantity",
    }


@isolate_apps("tests")
def test_one_to_one_is_followed_both_ways():
    class Person(models.Model):
        name = models.TextField()

        class Meta:
            app_label = "tests"

    class Passport(models.Model):
        person = OneToOneField(Person, models.CASCADE, primary_key=True)
        number = models.TextField()

        class Meta:
            app_label = "tests"

    assert reading({"name": F("person__name")}, root=Passport) == {"person_id>tests_person.name"}
    assert reading({"number": F("passport__number")}, root=Person) == {
        "person_id>tests_passport.person_id",
        "person_id>tests_passport.number",
    }


@isolate_apps("tests")
def test_foreign_key_to_another_column_is_followed():
    class Country(models.Model):
        code = models.CharField(max_length=2, unique=True)
        name = models.TextField()

        class Meta:
            app_label = "tests"

    class Town(models.Model):
        country = models.ForeignKey(Country, models.CASCADE, to_field="code", db_constraint=False)

        class Meta:
            app_label = "tests"

    assert reading({"code": F("country__code")}, root=Town) == {"country_id"}
    found = uses(type("Throwaway", (Document,), {"root": Town, "body": {"name": F("country__name")}}))
    [hop] = next(use.path for use in found if use.column == "name")
    assert (hop.near_column, hop.far_column, hop.is_enforced) == ("country_id", "code", False)


@isolate_apps("tests")
def test_path_back_to_the_root_is_told_apart():
    class Part(models.Model):
        name = models.TextField()
        whole = models.ForeignKey("self", models.CASCADE, null=True, related_name="parts")

        class Meta:
            app_label = "tests"

    body = {"whole": F("whole__name"), "parts": Many("parts", {}, order_by="id")}
    assert reading(body, root=Part) == {
        "whole_id",
        "whole_id>tests_part.name",
        "whole_id>tests_part.whole_id",
        "whole_id>tests_part.id",
    }


def test_columns_of_an_expression_are_the_roots():
    assert columns_of(TruncDate("placed_at"), Order) == {"placed_at"}
    assert columns_of(F("customer__pk"), Order) == {"customer_id"}


# What is refused


def test_column_elsewhere_is_refused_where_its_value_before_counts():
    with pytest.raises(WrongDeclaration, match=r"reads another table than orders_order; .* to the root"):
        columns_of(F("customer__country"), Order)


REFUSED = {
    "unknown column": (F("colour"), "'colour': Order has no column 'colour'"),
    "unknown column elsewhere": (F("customer__colour"), "'customer__colour': User has no column 'colour'"),
    "reverse relation": (F("lines__quantity"), r"lists several OrderLine rows: use Many\('lines', \.\.\.\)"),
    "relation that is none": (Many("rows", {}), r"Many\('rows'\): Order has no such reverse relation"),
    "relation that is forward": (Many("customer", {}), r"Many\('customer'\): Order has no such reverse relation"),
    "many-to-many": (F("customer__groups__name"), "'groups' is many-to-many: use Many over the table between"),
    "measure": (Sum("total_cents"), "is a measure: over related rows use ManySum or ManyCount"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_followed_is_refused(value, message):
    with pytest.raises(WrongDeclaration, match=message):
        reading({"value": value})


def test_many_over_many_to_many_is_refused():
    with pytest.raises(WrongDeclaration, match=r"Many\('user_set'\) is many-to-many: use Many over the table between"):
        reading({"value": Many("user_set", {})}, root=Permission)


@isolate_apps("tests")
def test_inherited_column_is_refused():
    class Vehicle(models.Model):
        wheels = models.IntegerField()

        class Meta:
            app_label = "tests"

    class Bus(Vehicle):
        class Meta:
            app_label = "tests"

    with pytest.raises(WrongDeclaration, match="'wheels' is inherited from another table: follow the parent link"):
        reading({"value": F("wheels")}, root=Bus)
    assert reading({"value": F("vehicle_ptr__wheels")}, root=Bus) == {"vehicle_ptr_id>tests_vehicle.wheels"}


@isolate_apps("tests")
def test_key_of_two_columns_is_refused():
    class Seat(models.Model):
        pk = models.CompositePrimaryKey("row", "number")
        row = models.IntegerField()
        number = models.IntegerField()

        class Meta:
            app_label = "tests"

    with pytest.raises(WrongDeclaration, match="Seat has no primary key of one column"):
        reading({}, root=Seat)


def test_line_reads_its_order_forwards():
    assert reading({"value": F("order__customer__name")}, root=OrderLine) == {
        "order_id",
        "order_id>orders_order.customer_id",
        "order_id>customer_id>users_user.name",
    }
