"""The export of all orders: to whom, in which form, and what a store that fails makes of it."""

import csv
import gc
import json
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.db import connection as database

from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from readmodels import connection, query
from readmodels.consistency import Token
from readmodels.query import reader
from readmodels.testing import drain
from tests.api import body, client_of, fields, person
from tests.rows import add_line, add_order, add_product

EXPORT = "/api/orders/export"
DAY = datetime(2024, 2, 28, 22, tzinfo=UTC)


@pytest.fixture
def shop(store):
    """Five orders over two years, one each status, the last a guest's."""
    ada, product = person("ada"), add_product(sku="A")
    statuses = ("refunded", "placed", "paid", "delivered", "cancelled")
    for number, (days, status) in enumerate(zip((0, 1, 1, 400, 800), statuses, strict=True)):
        customer = ada if number < 4 else None
        add_line(add_order(customer, placed_at=DAY + timedelta(days=days, hours=number), status=status), product)
    found = {"ada": client_of(ada), "staff": client_of(person("sam", is_staff=True)), "nobody": client_of(None)}
    drain(store)
    return found


def lines(response):
    assert response.status_code == 200
    return response.getvalue().splitlines()


def ids(response):
    return [json.loads(line)["id"] for line in lines(response)]


def test_all_orders_come_as_stored_one_per_line(shop):
    expected = [reader().document(OrderDetail, number).body for number in (1, 2, 3, 4, 5)]
    assert lines(shop["staff"].get(EXPORT)) == expected


def test_answer_says_what_it_is(shop):
    response = shop["staff"].get(EXPORT)
    response.getvalue()
    assert response["Content-Type"] == "application/x-ndjson; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="orders.ndjson"'
    assert (response["Cache-Control"], response["Vary"]) == ("no-store", "Authorization, Accept")
    assert response.streaming


def test_csv_has_a_line_of_names_and_one_per_order(shop):
    response = shop["staff"].get(f"{EXPORT}?format=csv")
    rows = list(csv.DictReader(StringIO(response.getvalue().decode(), newline="")))
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["Content-Disposition"] == 'attachment; filename="orders.csv"'
    assert [(row["id"], row["status"], row["customer_name"]) for row in rows] == [
        ("1", "refunded", "Ada"),
        ("2", "placed", "Ada"),
        ("3", "paid", "Ada"),
        ("4", "delivered", "Ada"),
        ("5", "cancelled", ""),
    ]


@pytest.mark.parametrize(
    ("query_string", "accept", "expected"),
    [
        ("", "*/*", "application/x-ndjson"),
        ("", "text/csv", "text/csv"),
        ("", "text/*", "text/csv"),
        ("?format=ndjson", "text/csv", "application/x-ndjson"),
        ("?format=csv", "application/json", "text/csv"),
    ],
)
def test_format_is_chosen_by_name_or_by_accept(shop, query_string, accept, expected):
    response = shop["staff"].get(EXPORT + query_string, headers={"Accept": accept})
    response.getvalue()
    assert response["Content-Type"].startswith(expected)


def test_what_is_neither_is_406(shop):
    assert shop["staff"].get(EXPORT, headers={"Accept": "application/xml"}).status_code == 406


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ("from=2024-03-01", [3, 4, 5]),
        ("to=2024-02-29", [1, 2]),
        ("from=2024-02-28&to=2024-03-01", [1, 2, 3]),
        ("from=2025-01-01&to=2025-12-31", [4]),
        ("from=0001-01-01&to=9999-12-31", [1, 2, 3, 4, 5]),
        ("from=2030-01-01", []),
        ("to=2020-01-01", []),
    ],
)
def test_days_are_those_asked_for(shop, span, expected):
    assert ids(shop["staff"].get(f"{EXPORT}?{span}")) == expected


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("format=xml", "format"),
        ("format=", "format"),
        ("from=today", "from"),
        ("to=2024-02-30", "to"),
        ("from=2024-03-02&to=2024-03-01", "to"),
        ("limit=5", "limit"),
        ("fields=id", "fields"),
    ],
)
def test_wrong_parameters_are_named(shop, wrong, named):
    response = shop["staff"].get(f"{EXPORT}?{wrong}")
    assert (response.status_code, fields(response)) == (400, [named])


def test_export_is_for_staff(shop):
    assert shop["ada"].get(EXPORT).status_code == 403
    assert shop["nobody"].get(EXPORT).status_code == 401


def test_head_says_the_same_without_reading(shop):
    response = shop["staff"].head(f"{EXPORT}?format=csv")
    assert (response.status_code, response.content) == (200, b"")
    assert response["Content-Disposition"] == 'attachment; filename="orders.csv"'
    assert ids(shop["staff"].get(EXPORT)) == [1, 2, 3, 4, 5]


def test_other_methods_are_405(shop):
    response = shop["staff"].post(EXPORT, {})
    assert response.status_code == 405
    assert "GET" in response["Allow"]


def test_nothing_is_an_empty_file(store):
    staff = client_of(person("sam", is_staff=True))
    drain(store)
    assert lines(staff.get(EXPORT)) == []
    assert lines(staff.get(f"{EXPORT}?format=csv"))[0].startswith(b"id,status")


def test_every_page_of_a_day_is_walked(shop, store):
    with database.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_order (status, placed_at) "
            "SELECT 'placed', '2024-05-01T00:00Z'::timestamptz + n * interval '1 second' FROM generate_series(1, 250) n"
        )
    drain(store)
    found = ids(shop["staff"].get(EXPORT))
    assert (len(found), len(set(found))) == (255, 255)
    placed = dict(Order.objects.values_list("pk", "placed_at"))
    assert found == sorted(found, key=lambda pk: (placed[pk], pk))


def test_orders_that_move_on_meanwhile_are_neither_missed_nor_doubled(shop, store):
    chunks = iter(shop["staff"].get(EXPORT).streaming_content)
    begun = next(chunks)
    Order.objects.exclude(status="paid").update(status="paid")
    drain(store)
    later = [json.loads(line) for line in b"".join(chunks).splitlines()]
    assert [json.loads(line)["id"] for line in begun.splitlines()] + [each["id"] for each in later] == [1, 2, 3, 4, 5]
    assert {each["status"] for each in later} == {"paid"}


def test_order_that_is_deleted_meanwhile_is_left_out(shop, store):
    chunks = iter(shop["staff"].get(EXPORT).streaming_content)
    next(chunks)
    Order.objects.filter(pk=4).delete()
    drain(store)
    assert 4 not in [json.loads(line)["id"] for line in b"".join(chunks).splitlines()]


def test_what_fails_at_once_is_an_error(shop, store):
    never = {"Consistency-Token": str(Token(store.epoch(), 2**40)), "Prefer": "wait=0"}
    response = shop["staff"].get(EXPORT, headers=never)
    assert (response.status_code, body(response)["code"]) == (503, "not_yet")
    stale = shop["staff"].get(EXPORT, headers=never | {"Prefer": "wait=0, on-timeout=stale"})
    assert (stale.status_code, body(stale)["code"]) == (503, "not_yet")
    assert ids(shop["staff"].get(EXPORT)) == [1, 2, 3, 4, 5]


def test_lost_redis_is_503(shop):
    connection.read_models().flushdb()
    query.reader.cache_clear()
    assert shop["staff"].get(EXPORT).status_code == 503


def test_what_fails_half_way_does_not_end_as_if_complete(shop):
    chunks = iter(shop["staff"].get(EXPORT).streaming_content)
    next(chunks)
    connection.read_models().flushdb()
    with pytest.raises(Exception, match=r"being filled|not been built"):
        list(chunks)


def test_one_export_at_a_time_in_each_process(shop):
    first = shop["staff"].get(EXPORT)
    second = shop["staff"].get(EXPORT)
    assert (second.status_code, second["Retry-After"]) == (503, "1")
    first.getvalue()
    # Given up, and then forgotten without a word.
    shop["staff"].get(EXPORT).close()
    assert shop["staff"].get(EXPORT).status_code == 200
    gc.collect()
    assert ids(shop["staff"].get(EXPORT)) == [1, 2, 3, 4, 5]


def test_api_document_has_both_formats(shop):
    operation = json.loads(shop["nobody"].get("/api/schema").content)["paths"][EXPORT]["get"]
    assert set(operation["responses"]["200"]["content"]) == {"application/x-ndjson", "text/csv"}
    assert {"format", "from", "to"} <= {each["name"] for each in operation["parameters"]}
