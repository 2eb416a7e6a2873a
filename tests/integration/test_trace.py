"""The trace of a request, from its header to what `why` tells of the change, without a round trip of its own."""

import pytest
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from psycopg import sql

from orders.models import Product
from readmodels import acknowledged, models, testing, trace, why
from tests.api import client_of, person
from tests.cli import readmodels
from tests.rows import add_order, add_product, add_user

HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def traces() -> list[str | None]:
    return list(models.Change.objects.order_by("id").values_list("trace", flat=True))


def kept() -> set[str | None]:
    """The traces of acknowledged changes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT trace FROM readmodels_acknowledged")
        return {value for [value] in cursor.fetchall()}


def rename(client, user, name, **headers):
    answer = client.patch(f"/api/users/{user.pk}", {"name": name}, headers=headers)
    assert answer.status_code == 200, answer.content


@pytest.fixture
def ada(store):
    user = person("ada")
    client = client_of(user)
    testing.drain(store)
    return client, user


def test_request_is_told_by_why(store, ada, capsys):
    rename(*ada, "Ada King", traceparent=HEADER)
    assert traces() == [HEADER]
    testing.drain(store)
    assert traces() == []
    assert HEADER in kept()
    assert f"trace {HEADER}" in readmodels(capsys, "why", "UserProfile", ada[1].pk).out


def test_request_without_a_trace_is_given_one(ada):
    rename(*ada, "B")
    rename(*ada, "C", traceparent="nix")
    assert len({trace.taken_up(each or "") for each in traces()} - {None}) == 2


def test_trace_costs_no_statement(ada, monkeypatch):
    with CaptureQueriesContext(
        connection,
    ) as with_trace:
        rename(*ada, "B", traceparent=HEADER)
    monkeypatch.setattr(trace, "marked", lambda statement: statement)
    with CaptureQueriesContext(connection) as without:
        rename(*ada, "C", traceparent=HEADER)
    assert len(with_trace) == len(without) > 0
    assert [query["sql"] for query in with_trace if HEADER in query["sql"]]


STATEMENTS = {
    "text": "UPDATE orders_product SET name = 'B'",
    "bytes": b"UPDATE orders_product SET name = 'B'",
    "composed": sql.SQL("UPDATE {} SET name = {}").format(sql.Identifier("orders_product"), "B"),
    "another comment first": "/* by a tool */ UPDATE orders_product SET name = 'B'",
}


@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=list(STATEMENTS))
def test_statement_of_any_kind_has_it(store, statement):
    add_product(name="A")
    testing.drain(store)
    with trace.carried(HEADER), connection.cursor() as cursor:
        cursor.execute(statement)
    assert traces() == [HEADER]


def test_many_at_once_have_it(store):
    with trace.carried(HEADER), connection.cursor() as cursor:
        rows = [(f"P{number}", "100 %", 1) for number in range(3)]
        cursor.executemany("INSERT INTO orders_product (sku, name, price_cents) VALUES (%s, %s, %s)", rows)
    Product.objects.bulk_create(Product(sku=f"S{number}", name="S", price_cents=1) for number in range(3))
    assert traces() == [HEADER] * 3 + [None] * 3


def test_psql_and_imports_name_it_for_their_transaction(store):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('readmodels.trace', 'import-7', true)")
        add_product()
    add_product()
    assert traces() == ["import-7", None]


@pytest.mark.parametrize("text", [f" /*traceparent='{HEADER}'*/", f"/*traceparent='{HEADER}x'*/", "/*traceparent=''*/"])
def test_what_is_no_trace_at_the_very_beginning_is_none(store, text):
    with connection.cursor() as cursor:
        cursor.execute(f"{text} INSERT INTO orders_product (sku, name, price_cents) VALUES ('A', 'A', 1)")
    assert traces() == [None]


def test_documents_of_a_fan_out_have_it(store, configured):
    configured(FAN_OUT_DOCUMENTS=2)
    user = add_user(name="A")
    orders = [add_order(user) for _ in range(4)]
    testing.drain(store)
    with trace.carried(HEADER):
        type(user).objects.filter(pk=user.pk).update(name="B")
    testing.drain(store)
    testing.drain(store)
    assert why.explain(store, "OrderDetail", str(orders[0].pk)).last_change.trace == HEADER


def test_change_that_is_replayed_keeps_it(store):
    with trace.carried(HEADER):
        add_product()
    testing.drain(store)
    with transaction.atomic(), connection.cursor() as cursor:
        acknowledged.replay(cursor, 0, "1:1:", 100)
    assert HEADER in traces()


def test_requests_beside_one_another_do_not_mix(store):
    """What a request sets is its own: a request within another's time leaves that one as it was."""

    def inner(request) -> HttpResponse:
        add_product()
        return HttpResponse()

    def outer(request) -> HttpResponse:
        trace.middleware(inner)(RequestFactory().get("/", headers={"traceparent": OTHER}))
        add_product()
        return HttpResponse()

    trace.middleware(outer)(RequestFactory().get("/", headers={"traceparent": HEADER}))
    assert traces() == [OTHER, HEADER]
