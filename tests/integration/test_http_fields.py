"""`fields=`: a choice of the entries of documents and rows."""

import json

import pytest

from orders.models import Order
from readmodels.testing import drain
from tests.api import body, client_of, fields, person
from tests.rows import add_line, add_order, add_product


@pytest.fixture
def shop(store):
    ada = person("ada")
    order = add_order(ada)
    for sku in ("A", "B"):
        add_line(order, add_product(sku=sku, name=f'A "{sku}", {{[,]}} \u00e9'))
    add_order(None)
    found = {
        "ada": client_of(ada),
        "bob": client_of(person("bob")),
        "staff": client_of(person("sam", is_staff=True)),
        "nobody": client_of(None),
    }
    drain(store)
    return found


def test_chosen_entries_come_as_they_are_stored(shop):
    whole = body(shop["ada"].get("/api/orders/1"))
    chosen = body(shop["ada"].get("/api/orders/1?fields=total_cents,id,lines.sku,lines.name,customer.name"))
    lines = [{"sku": line["sku"], "name": line["name"]} for line in whole["lines"]]
    assert chosen == {"id": 1, "total_cents": 1000, "customer": {"name": "Ada"}, "lines": lines}


def test_every_entry_can_be_chosen(shop):
    response = shop["ada"].get("/api/orders/1")
    assert shop["ada"].get(f"/api/orders/1?fields={','.join(body(response))}").content == response.content


def test_whole_entry_wins_over_its_parts(shop):
    assert body(shop["ada"].get("/api/orders/1?fields=customer.name,customer"))["customer"] == {"id": 1, "name": "Ada"}


def test_what_is_null_stays_null(shop):
    chosen = body(shop["staff"].get("/api/orders/2?fields=customer.id,lines.sku"))
    assert chosen == {"customer": {"id": None}, "lines": []}


@pytest.mark.parametrize(
    ("url", "entries"),
    [
        ("/api/orders?ids=1,2&fields=id", {"id"}),
        ("/api/orders?status=placed&fields=id,customer.name", {"id", "customer"}),
        ("/api/users/1/orders?fields=status", {"status"}),
        ("/api/products?fields=sku", {"sku"}),
    ],
)
def test_rows_of_lists_are_cut_too(shop, url, entries):
    rows = body(shop["staff"].get(url))["results"]
    assert rows
    assert all(set(row) == entries for row in rows)


def test_another_choice_has_another_etag(shop):
    urls = ["/api/orders/1", "/api/orders/1?fields=id", "/api/orders/1?fields=id,status"]
    assert len({shop["ada"].get(url)["ETag"] for url in urls}) == 3
    etags = {shop["ada"].get(f"/api/orders/1?fields={names}")["ETag"] for names in ("id,status", "status,id")}
    assert len(etags) == 1


def test_etag_of_either_is_taken_by_commands(shop, store):
    part = shop["ada"].get("/api/orders/1?fields=id")["ETag"]
    assert shop["ada"].post("/api/orders/1/pay", {}, headers={"If-Match": part}).status_code == 200
    drain(store)
    whole = shop["staff"].get("/api/orders/1")["ETag"]
    assert shop["staff"].post("/api/orders/1/ship", {}, headers={"If-Match": part}).status_code == 412
    assert shop["staff"].post("/api/orders/1/ship", {}, headers={"If-Match": whole}).status_code == 200


def test_changed_document_has_another_etag_though_the_choice_shows_no_change(shop, store):
    etag = shop["ada"].get("/api/orders/1?fields=id")["ETag"]
    Order.objects.filter(pk=1).update(version=7)
    drain(store)
    assert shop["ada"].get("/api/orders/1?fields=id", headers={"If-None-Match": etag}).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "/api/orders/1?fields=",
        "/api/orders/1?fields=id,colour",
        "/api/orders/1?fields=customer.email",
        "/api/orders/1?fields=id%00",
        "/api/orders/1?fields=id.x",
        "/api/orders?ids=1&fields=colour",
        "/api/users/1?fields=password",
        "/api/users/1/orders?fields=customer",
        "/api/products?fields=stock",
    ],
)
def test_unknown_names_are_400(shop, url):
    response = shop["staff"].get(url)
    assert (response.status_code, fields(response)) == (400, ["fields"])


def test_unknown_name_is_named_with_the_known_ones(shop):
    detail = body(shop["ada"].get("/api/orders/1?fields=colour"))["fields"][0]["detail"]
    assert detail.startswith("'colour': of id, status,")
    assert "customer.name" in detail


def test_foreign_document_is_not_found_with_fields_too(shop):
    foreign, absent = (shop["bob"].get(f"/api/orders/{number}?fields=id") for number in (1, 9))
    assert foreign.status_code == absent.status_code == 404


def test_api_document_lists_the_names(shop):
    operation = json.loads(shop["nobody"].get("/api/schema").content)["paths"]["/api/orders/{order_id}"]["get"]
    [parameter] = [each for each in operation["parameters"] if each["name"] == "fields"]
    assert {"id", "customer", "customer.name", "lines.sku"} <= set(parameter["schema"]["items"]["enum"])
    assert (parameter["style"], parameter["explode"]) == ("form", False)
