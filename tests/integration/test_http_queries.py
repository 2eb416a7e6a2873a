"""Queries over the API: what is answered, to whom, with which headers, and what is refused."""

import json
from datetime import UTC, datetime

import pytest

from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from readmodels import connection, query
from readmodels.consistency import Token
from readmodels.query import reader
from readmodels.testing import drain
from tests.api import body, client_of, fields, person
from tests.rows import add_line, add_order, add_product
from tests.unreachable import no_redis


@pytest.fixture
def people(store):
    return {
        "ada": person("ada"),
        "bob": person("bob"),
        "staff": person("sam", is_staff=True),
    }


@pytest.fixture
def shop(store, people):
    """Clients of everybody, three orders of Ada's (the last one paid) and a guest's, all projected."""
    product = add_product(sku="A", stock=5)
    for day in (1, 2, 3):
        order = add_order(
            people["ada"], placed_at=datetime(2026, 3, day, tzinfo=UTC), status="paid" if day == 3 else "placed"
        )
        add_line(order, product)
    add_order(None, placed_at=datetime(2026, 3, 4, tzinfo=UTC))
    clients = {name: client_of(user) for name, user in people.items()} | {"nobody": client_of(None)}
    drain(store)
    return clients


def ids(response):
    return [row["id"] for row in body(response)["results"]]


def test_document_is_sent_as_it_is_stored(shop):
    assert shop["ada"].get("/api/orders/1").content == reader().document(OrderDetail, 1).body


def test_document_says_how_new_it_is(shop):
    response = shop["ada"].get("/api/orders/1")
    assert response["Content-Type"] == "application/json"
    assert response["ETag"] == f'"1.{response["Read-Model-Version"]}"'
    assert response["Read-Model-As-Of"].startswith("20")
    assert float(response["Read-Model-Lag"]) == 0
    assert (response["Cache-Control"], response["Vary"]) == ("private, no-cache", "Authorization")


@pytest.mark.parametrize(
    "url",
    [
        "/api/orders/1",
        "/api/users/1",
        "/api/users/1/orders",
        "/api/orders?status=paid",
        "/api/sales?from=2026-03-01&to=2026-03-03",
        "/api/products/A",
        "/api/products",
        "/api/orders?ids=1,999",
        "/api/users/1/orders/summary",
    ],
)
def test_every_answer_says_how_new_it_is(shop, url):
    response = shop["staff"].get(url)
    assert len(response["Read-Model-Version"]) == 26
    assert response["Read-Model-As-Of"].startswith("20")
    assert float(response["Read-Model-Lag"]) == 0


@pytest.mark.parametrize(
    "url",
    [
        "/api/orders/1",
        "/api/users/1",
        "/api/users/1/orders",
        "/api/users/1/orders/summary",
        "/api/products",
        "/api/products/A",
        "/api/orders?ids=1,3",
        "/api/orders/1?fields=id",
    ],
)
def test_what_the_asker_has_is_not_sent_again(shop, url):
    etag = shop["ada"].get(url)["ETag"]
    again = shop["ada"].get(url, headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    assert again["Cache-Control"]


def test_changed_document_is_sent_again(shop, store):
    etag = shop["ada"].get("/api/orders/1")["ETag"]
    Order.objects.filter(pk=1).update(status="paid")
    drain(store)
    assert shop["ada"].get("/api/orders/1", headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize("url", ["/api/orders/1", "/api/users/1", "/api/users/1/orders", "/api/users/1/orders/summary"])
def test_foreign_and_absent_are_answered_alike(shop, url):
    foreign = shop["bob"].get(url)
    absent = shop["bob"].get(url.replace("1", "999"))
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content.replace(b"999", b"1") == absent.content.replace(b"999", b"1")
    assert dict(foreign.headers) | {"Content-Length": 0} == dict(absent.headers) | {"Content-Length": 0}


def test_guests_orders_are_for_staff(shop):
    assert shop["bob"].get("/api/orders/4").status_code == 404
    assert shop["staff"].get("/api/orders/4").status_code == 200


@pytest.mark.parametrize("url", ["/api/orders/1", "/api/users/1", "/api/users/1/orders", "/api/orders?status=paid"])
def test_whoever_is_not_signed_in_is_asked_to(shop, url):
    response = shop["nobody"].get(url)
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("url", ["/api/orders?status=paid", "/api/sales?from=2026-03-01&to=2026-03-02"])
def test_staff_lists_are_for_staff(shop, url):
    assert shop["ada"].get(url).status_code == 403
    assert shop["staff"].get(url).status_code == 200


def test_products_are_for_everybody_and_may_be_kept(shop):
    response = shop["nobody"].get("/api/products/A")
    assert body(response)["stock"] == 5
    assert response["Cache-Control"].startswith("public")
    assert response["Vary"] == "Consistency-Token, Cache-Control"
    forgotten = client_of(None)
    forgotten.credentials(HTTP_AUTHORIZATION="Bearer long-gone")
    assert forgotten.get("/api/products/A").status_code == 200


def test_pages_follow_each_other_newest_first(shop):
    first = shop["ada"].get("/api/users/1/orders?limit=2")
    second = shop["ada"].get("/api/users/1/orders", {"limit": 2, "cursor": body(first)["next"]})
    assert (ids(first), ids(second), body(second)["next"]) == ([3, 2], [1], None)


def test_page_carries_counts_and_sums(shop):
    measures = body(shop["ada"].get("/api/users/1/orders?status=paid"))["measures"]
    assert measures["all"] == {"orders": 3, "spent_cents": 1000}
    assert measures["by_status"]["placed"] == {"orders": 2, "spent_cents": 0}


def test_filter_selects(shop):
    assert ids(shop["ada"].get("/api/users/1/orders?status=placed")) == [2, 1]
    assert ids(shop["ada"].get("/api/users/1/orders?status=refunded")) == []
    assert ids(shop["staff"].get("/api/orders?status=placed")) == [4, 2, 1]


def test_sales_are_listed_per_day_and_currency(shop):
    rows = body(shop["staff"].get("/api/sales?from=2026-03-02&to=2026-03-03"))["results"]
    assert rows == [
        {"day": "2026-03-02", "currency": "GBP", "orders": 1, "items": 1, "revenue_cents": 0},
        {"day": "2026-03-03", "currency": "GBP", "orders": 1, "items": 1, "revenue_cents": 1000},
    ]


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("/api/users/1/orders?limit=0", ["limit"]),
        ("/api/users/1/orders?limit=101", ["limit"]),
        ("/api/users/1/orders?limit=two", ["limit"]),
        ("/api/users/1/orders?limit=%D9%A3", ["limit"]),
        ("/api/users/1/orders?limit=99999999999999999999", ["limit"]),
        ("/api/users/1/orders?limit=1&limit=2", ["limit"]),
        ("/api/users/1/orders?status=lost", ["status"]),
        ("/api/users/1/orders?cursor=p%3Dabc", ["cursor"]),
        ("/api/users/1/orders?cursor=%00", ["cursor"]),
        ("/api/users/1/orders?page=2&size=3", ["page", "size"]),
        ("/api/orders", ["ids", "status"]),
        ("/api/orders?status=", ["status"]),
        ("/api/orders/1?include=id", ["include"]),
        ("/api/products/A?format=json", ["format"]),
        ("/api/sales", ["from", "to"]),
        ("/api/sales?from=2026-03-01&to=20260302", ["to"]),
        ("/api/sales?from=2026-02-30&to=2026-03-02", ["from"]),
        ("/api/sales?from=2026-03-02&to=2026-03-01", ["to"]),
        ("/api/sales?from=2026-01-01&to=2027-01-02", ["to"]),
    ],
)
def test_wrong_parameters_are_named(shop, url, named):
    response = shop["staff"].get(url)
    assert response.status_code == 400
    assert fields(response) == named


def test_wrong_status_is_told_the_right_ones(shop):
    assert "placed, paid, shipped" in body(shop["staff"].get("/api/orders?status=lost"))["fields"][0]["detail"]


def test_cursor_of_another_list_is_refused(shop):
    cursor = body(shop["ada"].get("/api/users/1/orders?limit=1"))["next"]
    assert fields(shop["staff"].get("/api/orders", {"status": "placed", "cursor": cursor})) == ["cursor"]
    assert fields(shop["ada"].get("/api/users/1/orders", {"status": "placed", "cursor": cursor})) == ["cursor"]


@pytest.mark.parametrize(
    "url",
    [
        "/api/orders/9223372036854775808",
        f"/api/users/{'9' * 5000}",
        "/api/users/0",
        "/api/products/%00",
        "/api/users/-1",
    ],
)
def test_what_can_not_exist_is_not_found(shop, url):
    response = shop["staff"].get(url)
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("url", ["/api/orders/1", "/api/users/1/orders", "/api/orders/999"])
def test_write_that_is_not_there_yet_is_said_so(shop, store, url):
    never = Token(store.epoch(), 2**40)
    response = shop["ada"].get(url, headers={"Consistency-Token": str(never), "Prefer": "wait=0"})
    assert (response.status_code, response["Retry-After"], body(response)["code"]) == (503, "1", "not_yet")


def test_wait_that_was_granted_is_named(shop, store):
    written = shop["ada"].patch("/api/users/1", {"name": "Countess"})["Consistency-Token"]
    drain(store)
    asked = {"Consistency-Token": written, "Prefer": 'respond-async, wait="99999"; foo=bar'}
    assert shop["ada"].get("/api/users/1", headers=asked)["Preference-Applied"] == "wait=10"


@pytest.mark.parametrize("prefer", ["wait", "wait=soon", "wait=-1", "return=minimal", "wait=1e9", "\xff"])
def test_preferences_not_understood_are_ignored(shop, prefer):
    response = shop["ada"].get("/api/users/1", headers={"Prefer": prefer})
    assert response.status_code == 200
    assert "Preference-Applied" not in response


@pytest.mark.parametrize("token", ["", "abc", "1.2:forged", "\xff"])
def test_token_of_somebody_else_is_refused(shop, token):
    response = shop["ada"].get("/api/users/1", headers={"Consistency-Token": token})
    assert response.status_code == 400
    assert fields(response) == ["Consistency-Token"]


@pytest.mark.parametrize("url", ["/api/orders/1", "/api/products/A", "/api/users/1/orders"])
def test_redis_away_is_503(shop, url, monkeypatch):
    no_redis(monkeypatch)
    response = shop["ada"].get(url)
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert body(response)["code"] == "read_models_unavailable"


def test_emptied_redis_is_503_not_404(shop):
    connection.read_models().flushdb()
    query.reader.cache_clear()
    assert shop["ada"].get("/api/orders/1").status_code == 503


def test_head_is_answered_as_get_without_a_body(shop):
    response = shop["ada"].head("/api/orders/1")
    assert (response.status_code, response.content, response["ETag"]) == (
        200,
        b"",
        shop["ada"].get("/api/orders/1")["ETag"],
    )


def test_answers_are_what_the_api_document_says(shop):
    documented = json.loads(shop["nobody"].get("/api/schema").content)["components"]["schemas"]
    for client, url, name in (
        ("ada", "/api/orders/1", "OrderDetail"),
        ("staff", "/api/orders/4", "OrderDetail"),
        ("ada", "/api/users/1", "UserProfile"),
        ("ada", "/api/users/1/orders?limit=1", "CustomerOrdersPage"),
        ("staff", "/api/orders?status=placed", "OrdersByStatusPage"),
        ("ada", "/api/products/A", "ProductCard"),
        ("staff", "/api/sales?from=2026-03-01&to=2026-03-04", "SalesByDay"),
        ("ada", "/api/orders?ids=1,9", "OrderDetails"),
        ("ada", "/api/users/1/orders/summary", "CustomerOrdersSummary"),
        ("nobody", "/api/products", "ProductListPage"),
        ("ada", "/api/orders/1?fields=id,lines.sku", "OrderDetailPart"),
        ("ada", "/api/users/1/orders?fields=status", "CustomerOrdersPage"),
    ):
        conform(body(shop[client].get(url)), documented[name], documented)


def conform(value, schema, documented):
    """A validator of the few words of JSON Schema that read models use."""
    if "$ref" in schema:
        return conform(value, documented[schema["$ref"].rpartition("/")[2]], documented)
    if "anyOf" in schema:
        # A part with nothing left out conforms to both.
        names = set(value)
        [*fits] = [each for each in schema["anyOf"] if names >= set(resolved(each, documented).get("required", ()))]
        return conform(value, fits[0], documented)
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    assert type(value).__name__ in {PYTHON[kind] for kind in kinds}, (value, schema)
    assert "enum" not in schema or value in schema["enum"]
    if isinstance(value, list):
        for each in value:
            conform(each, schema["items"], documented)
    if isinstance(value, dict):
        named = schema.get("properties", {})
        assert set(schema.get("required", ())) <= set(value)
        assert set(value) <= set(named) or schema.get("additionalProperties")
        for name, each in value.items():
            conform(each, named.get(name) or schema["additionalProperties"], documented)


def resolved(schema, documented):
    return documented[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


PYTHON = {
    "object": "dict",
    "array": "list",
    "string": "str",
    "integer": "int",
    "boolean": "bool",
    "null": "NoneType",
    "number": "float",
}
