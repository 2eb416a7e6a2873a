"""Lists in either direction, turned page by page while rows come and go; the catalogue; a customer's counters."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.models import Order, Product
from readmodels import testing
from readmodels.testing import drain
from tests.api import body, client_of, fields, person
from tests.rows import add_order, add_product
from users.models import User

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def shop(store):
    ada = person("ada")
    for number in range(5):
        add_order(ada, placed_at=DAY + timedelta(days=number), status="paid" if number == 2 else "placed")
    found = {"ada": client_of(ada), "staff": client_of(person("sam", is_staff=True)), "nobody": client_of(None)}
    drain(store)
    return found


def ids(response):
    return [each["id"] for each in body(response)["results"]]


def walk(client, url, between=lambda: None):
    """The ids of all pages, one after the other."""
    found, cursor = [], ""
    while True:
        page = client.get(url + cursor)
        assert page.status_code == 200, page.content
        found += ids(page)
        if not body(page)["next"]:
            return found
        cursor = after(page)
        between()


def after(page):
    return f"&cursor={quote(body(page)['next'])}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/api/users/1/orders?limit=2", [5, 4, 3, 2, 1]),
        ("/api/users/1/orders?limit=2&sort=-placed_at", [5, 4, 3, 2, 1]),
        ("/api/users/1/orders?limit=2&sort=placed_at", [1, 2, 3, 4, 5]),
        ("/api/users/1/orders?limit=2&sort=placed_at&status=placed", [1, 2, 4, 5]),
        ("/api/orders?status=placed&limit=3&sort=placed_at", [1, 2, 4, 5]),
    ],
)
def test_lists_are_read_in_either_direction(shop, url, expected):
    assert walk(shop["staff"], url) == expected


@pytest.mark.parametrize("sort", ["", "id", "-id", "placed_at,id", "--placed_at", "+placed_at", "PLACED_AT"])
def test_any_other_order_is_400(shop, sort):
    response = shop["ada"].get("/api/users/1/orders", {"sort": sort})
    assert (response.status_code, fields(response)) == (400, ["sort"])
    assert body(response)["fields"][0]["detail"] == "-placed_at or placed_at is accepted."


def test_cursor_belongs_to_its_direction(shop):
    url = "/api/users/1/orders?limit=1"
    falling, rising = after(shop["ada"].get(url)), after(shop["ada"].get(f"{url}&sort=placed_at"))
    assert fields(shop["ada"].get(f"{url}&sort=placed_at{falling}")) == ["cursor"]
    assert fields(shop["ada"].get(f"{url}{rising}")) == ["cursor"]
    assert ids(shop["ada"].get(f"{url}&sort=-placed_at{falling}")) == [4]


@pytest.fixture
def projected(store):
    """Called again and again by what is drawn by chance; empty each time."""

    def begin():
        testing.reset(store)
        return store, client_of(person("ada"))

    return begin


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.lists(st.integers(0, 9), min_size=1, max_size=8),
    inserted=st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=4),
    limit=st.integers(1, 3),
    is_falling=st.booleans(),
)
def test_pages_stay_where_they_are_while_rows_come(projected, at, inserted, limit, is_falling):
    """Rows of the same moment included: whatever was there at first is listed once, in order, and nothing twice."""
    store, client = projected()
    ada = User.objects.get()
    first = [add_order(ada, placed_at=DAY + timedelta(hours=hour)) for hour in at]
    drain(store)
    waiting = iter(inserted)

    def insert():
        for hour in next(waiting, []):
            add_order(ada, placed_at=DAY + timedelta(hours=hour))
        drain(store)

    sort = "-placed_at" if is_falling else "placed_at"
    found = walk(client, f"/api/users/{ada.pk}/orders?limit={limit}&sort={sort}", insert)
    placed = dict(Order.objects.values_list("pk", "placed_at"))
    assert found == sorted(found, key=lambda pk: (placed[pk], pk), reverse=is_falling)
    assert len(found) == len(set(found))
    assert {order.pk for order in first} <= set(found)


def test_row_that_the_cursor_stands_on_may_go(shop, store):
    cursor = body(shop["ada"].get("/api/users/1/orders?limit=2"))["next"]
    Order.objects.filter(pk=4).delete()
    drain(store)
    assert ids(shop["ada"].get("/api/users/1/orders", {"limit": 2, "cursor": cursor})) == [3, 2]


# The catalogue


@pytest.fixture
def catalogue(shop, store):
    for sku in ("pear", "Apple", "apple", "fig"):
        add_product(sku=sku)
    drain(store)
    return shop


def skus(response):
    return [each["sku"] for each in body(response)["results"]]


def test_catalogue_is_anybodys_in_the_order_of_skus(catalogue):
    response = catalogue["nobody"].get("/api/products")
    assert skus(response) == ["Apple", "apple", "fig", "pear"]
    assert body(response)["measures"] == {"all": {"products": 4}}
    assert (response["Cache-Control"], response["Vary"]) == ("public, max-age=5", "Consistency-Token, Cache-Control")


def test_catalogue_is_turned_page_by_page(catalogue, store):
    first = catalogue["nobody"].get("/api/products?limit=2&sort=-sku")
    add_product(sku="quince")
    Product.objects.filter(sku="fig").update(name="Dried fig")
    drain(store)
    second = catalogue["nobody"].get(f"/api/products?sort=-sku{after(first)}")
    assert (skus(first), skus(second)) == (["pear", "fig"], ["apple", "Apple"])


def test_renamed_product_is_listed_under_its_name(catalogue, store):
    Product.objects.filter(sku="fig").update(name="Dried fig", price_cents=99)
    Product.objects.filter(sku="pear").delete()
    drain(store)
    rows = {row["sku"]: row for row in body(catalogue["nobody"].get("/api/products"))["results"]}
    assert rows["fig"] == {"sku": "fig", "name": "Dried fig", "price_cents": 99, "currency": "GBP"}
    assert "pear" not in rows


def test_products_are_created_at_the_same_address(catalogue, store):
    made = catalogue["staff"].post("/api/products", {"sku": "lime", "name": "Lime", "price_cents": 30})
    assert made.status_code == 201
    drain(store)
    token = {"Consistency-Token": made["Consistency-Token"]}
    assert "lime" in skus(catalogue["nobody"].get("/api/products", headers=token))
    assert catalogue["nobody"].post("/api/products", {}).status_code == 401


def test_head_of_the_catalogue_is_public(catalogue):
    assert catalogue["nobody"].head("/api/products").status_code == 200


@pytest.mark.parametrize("query", ["status=placed", "partition=all", "sort=name", "fields=stock", "cursor=x"])
def test_catalogue_takes_nothing_else(catalogue, query):
    assert fields(catalogue["nobody"].get(f"/api/products?{query}")) == [query.split("=")[0]]


# A customer's counters


def test_counters_are_those_of_the_list(shop):
    summary = body(shop["ada"].get("/api/users/1/orders/summary"))
    assert summary == body(shop["ada"].get("/api/users/1/orders"))["measures"]
    assert summary["all"] == {"orders": 5, "spent_cents": 1000}
    assert summary["by_status"]["paid"] == {"orders": 1, "spent_cents": 1000}


def test_counters_are_for_themselves_and_staff(shop):
    assert shop["staff"].get("/api/users/1/orders/summary").status_code == 200
    assert shop["nobody"].get("/api/users/1/orders/summary").status_code == 401


def test_customer_without_orders_has_none(shop):
    assert body(shop["staff"].get("/api/users/2/orders/summary"))["all"] == {"orders": 0, "spent_cents": 0}


def test_counters_take_no_parameters(shop):
    assert fields(shop["ada"].get("/api/users/1/orders/summary?status=paid")) == ["status"]
