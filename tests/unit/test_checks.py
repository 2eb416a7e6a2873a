"""The system check refuses what can't be served exactly, and says which field and what to do instead."""

import pytest
from django.contrib.auth.models import Permission
from django.contrib.postgres.functions import RandomUUID, TransactionNow
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import models
from django.db.models import (
    Avg,
    Case,
    Exists,
    F,
    FloatField,
    Func,
    IntegerField,
    OneToOneField,
    OuterRef,
    Q,
    RowRange,
    Subquery,
    Value,
    When,
    Window,
)
from django.db.models import Sum as DjangoSum
from django.db.models.expressions import RawSQL
from django.db.models.functions import Cast, Length, Lower, Now, Random, TruncDate
from django.test.utils import isolate_apps
from knox.models import AuthToken

from orders.models import Order, OrderLine, Product
from readmodels import declare
from readmodels.checks import check_declarations, problems
from readmodels.declare import Collection, Count, Document, Many, ManyCount, ManySum, Sum
from readmodels.errors import WrongDeclaration
from users.models import User


@pytest.fixture(autouse=True)
def forgotten():
    """The registry is afterwards as it was."""
    yield
    declare.forget("Throwaway")


def document(root=Order, **attributes) -> type[Document]:
    return type("Throwaway", (Document,), {"root": root, **attributes})


def collection(root=Order, **attributes) -> type[Collection]:
    usual = {"root": root, "partition_by": F("status"), "order_by": F("placed_at").desc()}
    return type("Throwaway", (Collection,), {**usual, **attributes})


def refusal(read_model) -> str:
    [problem] = problems(read_model)
    return problem


def test_all_declared_read_models_are_accepted():
    assert check_declarations(None) == []


# What gives another value each time, or can't be followed


NOT_FOLLOWED = {
    "subquery": Subquery(User.objects.values("name")[:1]),
    "exists": Exists(OrderLine.objects.filter(order=OuterRef("pk"))),
    "raw SQL": RawSQL("SELECT 1", ()),
    "raw SQL inside": Lower(RawSQL("SELECT 'x'", ())),
    "window": Window(DjangoSum("total_cents"), frame=RowRange()),
    "aggregate": Avg("total_cents"),
    "outer reference": OuterRef("pk"),
    "rows of another table in a condition": Case(When(Q(customer__in=User.objects.all()), then=Value(1))),
    "exists in a condition": Case(When(Exists(User.objects.all()), then=Value(1))),
}


@pytest.mark.parametrize("value", NOT_FOLLOWED.values(), ids=NOT_FOLLOWED)
def test_other_queries_are_refused_in_a_body(value):
    assert "in a body can't be followed to its columns: use Many, ManySum or ManyCount" in refusal(
        document(body={"value": value})
    )


VOLATILE = {
    "now": Now(),
    "random": Random(),
    "start of the transaction": TransactionNow(),
    "random UUID": RandomUUID(),
    "function by name": Func(function="random"),
    "function by template": Func(template="clock_timestamp()"),
    "now inside": TruncDate(Now()),
    "now in a condition": Case(When(placed_at__lt=Now(), then=Value(1))),
    "now in a list": Case(When(placed_at__range=(F("updated_at"), Now()), then=Value(1))),
}


@pytest.mark.parametrize("value", VOLATILE.values(), ids=VOLATILE)
def test_what_changes_by_itself_is_refused(value):
    assert "gives another value each time: store what it gives in a column" in refusal(document(body={"value": value}))


def test_query_hidden_in_a_template_is_refused():
    hidden = Func(F("customer_id"), template="(SELECT name FROM users_user WHERE id = %(expressions)s)")
    assert "reads what can't be followed" in refusal(document(body={"value": hidden}))


def test_condition_on_the_time_is_refused():
    assert "gives another value each time" in refusal(document(where=Q(placed_at__lt=Now())))


def test_column_named_like_a_function_is_accepted():
    assert problems(document(body={"now": F("placed_at"), "random": Lower("status")})) == []


# Relations


def test_reverse_relation_without_many_is_refused():
    assert "'lines__quantity' lists several OrderLine rows: use Many('lines', ...)" in refusal(
        document(body={"value": F("lines__quantity")})
    )


def test_many_to_many_is_refused():
    assert "'groups' is many-to-many: use Many over the table between" in refusal(
        document(User, body={"value": F("groups__name")})
    )
    assert "Many('groups'): User has no such reverse relation" in refusal(
        document(User, body={"value": Many("groups", {})})
    )


def test_measure_in_a_body_is_refused():
    assert "over related rows use ManySum or ManyCount" in refusal(document(body={"value": Sum("total_cents")}))


# The key of a document


@pytest.mark.parametrize("root", [AuthToken, Order, Product, Session])
def test_primary_key_is_accepted(root):
    assert problems(document(root)) == []


@pytest.mark.parametrize(("root", "key"), [(Product, "sku"), (User, "email"), (AuthToken, "digest")])
def test_unique_column_is_accepted_as_key(root, key):
    assert problems(document(root, key=F(key))) == []


@pytest.mark.parametrize(("root", "key"), [(Order, "status"), (Order, "customer"), (Order, "external_ref")])
def test_key_that_is_shared_or_null_is_refused(root, key):
    expected = f"key=F({key}): must be unique and not null; declare a Collection for a key shared by rows"
    assert refusal(document(root, key=F(key))) == expected


@pytest.mark.parametrize("key", [Lower("sku"), F("id") + F("stock"), Value(1)])
def test_key_that_is_no_column_is_refused(key):
    assert "must be one column of Product" in refusal(document(Product, key=key))


def test_key_elsewhere_is_refused():
    assert "reads another table than orders_order" in refusal(document(key=F("customer__email")))


@isolate_apps("tests")
def test_key_by_constraint_or_one_to_one_is_accepted():
    class Ticket(models.Model):
        order = OneToOneField(Order, models.CASCADE, primary_key=True, related_name="+")
        code = models.TextField()
        used_at = models.DateTimeField(unique=True)
        price = models.FloatField(unique=True)

        class Meta:
            app_label = "tests"
            constraints = [models.UniqueConstraint(fields=["code"], name="one_code")]

    assert problems(document(Ticket)) == []
    assert problems(document(Ticket, key=F("code"))) == []
    assert refusal(document(Ticket, key=F("price"))) == "key of type FloatField: use an integer, text, UUID or date"
    assert (
        refusal(document(Ticket, key=F("used_at"))) == "key of type DateTimeField: use an integer, text, UUID or date"
    )


# Collections


def test_partition_elsewhere_is_refused():
    problem = refusal(collection(partition_by=F("customer__country")))
    assert "reads another table than orders_order; its value before a change would be lost" in problem
    assert problem.endswith("copy the column to the root")


def test_partition_by_nothing_is_refused():
    assert "partition_by reads no column" in refusal(collection(partition_by=Lower(Value("ALL"))))


def test_one_partition_is_accepted_where_it_is_said_to_be_meant():
    assert problems(collection(partition_by=Value("all"))) == []


def test_partition_by_a_moment_is_refused():
    assert refusal(collection(partition_by=F("placed_at"))).startswith("partition_by of type DateTimeField: use an")


@pytest.mark.parametrize("name", ["partition_by", "order_by"])
def test_collection_without_its_parts_is_refused(name):
    parts = {"partition_by": F("status"), "order_by": F("id")}
    del parts[name]
    assert f"has no {name}" in refusal(type("Throwaway", (Collection,), {"root": Order, **parts}))


@pytest.mark.parametrize(
    "order_by", [F("placed_at"), F("id").desc(), Lower("status"), F("customer__name"), F("customer")]
)
def test_orderable_types_are_accepted(order_by):
    assert problems(collection(order_by=order_by)) == []


@pytest.mark.parametrize(
    ("root", "order_by"),
    [(User, F("is_active")), (Product, Cast("price_cents", FloatField()).desc())],
)
def test_order_by_another_type_is_refused(root, order_by):
    problem = refusal(collection(root, partition_by=F("id"), order_by=order_by))
    assert problem.startswith("order_by of type ")
    assert problem.endswith("order by a time, date, integer or text")


def test_order_by_text_with_a_sign_is_refused():
    assert refusal(collection(order_by="-placed_at")) == (
        "order_by='-placed_at': write F('placed_at'), and .desc() for falling order"
    )


@pytest.mark.parametrize("order", [F("customer").asc(nulls_last=True), F("customer").desc(nulls_first=True)])
def test_nulls_elsewhere_are_refused(order):
    assert "NULL counts as the least value" in refusal(collection(order_by=order))


@pytest.mark.parametrize("order", [F("customer").asc(nulls_first=True), F("customer").desc(nulls_last=True)])
def test_nulls_where_they_are_anyway_are_accepted(order):
    assert problems(collection(order_by=order)) == []


def test_more_than_three_filters_are_refused():
    names = ("currency", "customer", "version", "external_ref")
    assert problems(collection(filter_by=names[:3])) == []
    assert refusal(collection(filter_by=names)) == "filter_by has 4 fields, at most 3 are kept: partition by one"


def test_unknown_filter_is_refused():
    assert refusal(collection(filter_by=("colour",))) == "'colour': Order has no column 'colour'"


@pytest.mark.parametrize(
    "expression",
    [
        "total_cents",
        F("total_cents") * 2,
        F("customer__version"),
        Length("status"),
        ManyCount("lines"),
        ManySum("lines", F("quantity") * F("price_cents")),
    ],
)
def test_integer_measures_are_accepted(expression):
    measures = {"sum": Sum(expression, where=Q(status="paid")), "count": Count()}
    assert problems(collection(measures=measures)) == []


@pytest.mark.parametrize(
    "expression",
    [
        "placed_at",
        F("status"),
        Cast("total_cents", FloatField()),
        F("total_cents") * 0.5,
        ManySum("lines", Cast("quantity", FloatField())),
    ],
)
def test_measure_of_no_integer_is_refused(expression):
    problem = refusal(collection(measures={"sum": Sum(expression)}))
    assert problem == f"measure 'sum' sums {expression!r}, which is no integer: store minor units" or (
        "mixed types" in problem
    )


# How the check runs


def test_refused_declaration_stops_every_command():
    document(body={"value": Now()})
    with pytest.raises(SystemCheckError, match=r"readmodels\.E001.* Throwaway: Now\(\) gives another value"):
        call_command("check")


def test_two_read_models_of_one_name_are_refused():
    document()
    with pytest.raises(WrongDeclaration, match=r"Throwaway is declared in .*test_checks and in elsewhere"):
        type("Throwaway", (Document,), {"root": Order, "__module__": "elsewhere"})


def test_read_model_of_no_kind_is_refused():
    assert "derive it from one of them" in refusal(type("Throwaway", (declare.ReadModel,), {"root": Order}))


def test_condition_in_a_measure_is_followed_and_checked():
    problem = refusal(collection(measures={"n": Count(where=Q(lines__quantity=1))}))
    assert "use Many('lines', ...)" in problem


def test_permission_of_another_app_is_accepted():
    assert problems(collection(Permission, partition_by=F("content_type"), order_by=F("codename"))) == []


def test_sum_by_function_of_integers_needs_its_type():
    half = Func(F("total_cents"), function="ABS", output_field=IntegerField())
    assert problems(collection(measures={"sum": Sum(half)})) == []
