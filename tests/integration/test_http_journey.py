"""What a client does, in by commands and out by queries, over the API alone, with a projector at work."""

import pytest
from rest_framework.test import APIClient

from tests.api import PASSWORD, body, client_of, person


@pytest.fixture
def staff(projecting):
    client = client_of(person("sam", is_staff=True))
    for sku, price_cents in (("A", 120), ("B", 250)):
        made = client.post(
            "/api/products", {"sku": sku, "name": f"Product {sku}", "price_cents": price_cents, "stock": 9}
        )
        assert made.status_code == 201, made.content
    return client


@pytest.fixture
def ada(staff):
    client = APIClient()
    client.user_id = body(client.post("/api/users", REGISTRATION))["id"]
    token = body(client.post("/api/auth/login", {"email": "ADA@example.com", "password": PASSWORD}))["token"]
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


REGISTRATION = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
ORDER = {"lines": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}]}


def after(response):
    """The header that asks for an answer which includes the response's write."""
    return {"Consistency-Token": response["Consistency-Token"], "Prefer": "wait=10"}


def test_registered_user_reads_their_own_page(ada):
    page = body(ada.get(f"/api/users/{ada.user_id}"))
    assert (page["email"], page["name"], page["version"]) == ("ada@example.com", "Ada", 1)


def test_placed_order_is_read_at_once_with_its_token(ada):
    placed = ada.post("/api/orders", ORDER)
    assert placed.status_code == 201
    order = body(ada.get(placed["Location"], headers=after(placed)))
    assert (order["status"], order["total_cents"], order["customer"]["name"]) == ("placed", 490, "Ada")
    assert [(line["sku"], line["quantity"]) for line in order["lines"]] == [("A", 2), ("B", 1)]


def test_each_move_is_in_the_list_and_its_counts(ada, staff):
    placed = ada.post("/api/orders", ORDER)
    paid = ada.post(f"{placed['Location']}/pay")
    assert body(paid)["status"] == "paid"
    listed = body(ada.get(f"/api/users/{ada.user_id}/orders", headers=after(paid)))
    assert [row["status"] for row in listed["results"]] == ["paid"]
    assert listed["measures"]["by_status"]["paid"] == {"orders": 1, "spent_cents": 490}
    shipped = staff.post(f"{placed['Location']}/ship")
    delivered = staff.post(f"{placed['Location']}/deliver")
    assert (shipped.status_code, delivered.status_code) == (200, 200)
    by_status = body(staff.get("/api/orders?status=delivered", headers=after(delivered)))
    assert [row["customer"]["name"] for row in by_status["results"]] == ["Ada"]
    assert body(staff.get("/api/orders?status=paid"))["results"] == []


def test_new_name_is_in_every_order(ada):
    placed = [ada.post("/api/orders", ORDER) for _ in range(3)]
    renamed = ada.patch(f"/api/users/{ada.user_id}", {"name": "Countess"})
    orders = [body(ada.get(each["Location"], headers=after(renamed))) for each in placed]
    assert {order["customer"]["name"] for order in orders} == {"Countess"}


def test_cancelled_order_gives_its_stock_back(ada):
    placed = ada.post("/api/orders", ORDER)
    assert body(ada.get("/api/products/A", headers=after(placed)))["stock"] == 7
    cancelled = ada.post(f"{placed['Location']}/cancel")
    assert body(ada.get("/api/products/A", headers=after(cancelled)))["stock"] == 9


def test_refund_takes_the_revenue_back(ada, staff):
    placed = ada.post("/api/orders", ORDER)
    paid = ada.post(f"{placed['Location']}/pay")
    day = body(ada.get(placed["Location"], headers=after(paid)))["placed_at"][:10]
    sales = f"/api/sales?from={day}&to={day}"
    [before] = body(staff.get(sales, headers=after(paid)))["results"]
    assert before == {"day": day, "currency": "GBP", "orders": 1, "items": 3, "revenue_cents": 490}
    refunded = staff.post(f"{placed['Location']}/refund")
    [afterwards] = body(staff.get(sales, headers=after(refunded)))["results"]
    assert afterwards["revenue_cents"] == 0


def test_new_price_and_name_are_on_the_card(staff):
    changed = staff.patch("/api/products/A", {"name": "Apple", "price_cents": 99}, headers={"If-Match": '"1"'})
    card = body(staff.get("/api/products/A", headers=after(changed)))
    assert (card["name"], card["price_cents"], card["version"]) == ("Apple", 99, 3)
    restocked = staff.post("/api/products/A/restock", {"quantity": 5})
    assert body(staff.get("/api/products/A", headers=after(restocked)))["stock"] == 14


def test_etag_of_a_query_is_good_for_if_match(ada):
    url = f"/api/users/{ada.user_id}"
    etag = ada.get(url)["ETag"]
    renamed = ada.patch(url, {"name": "Countess"}, headers={"If-Match": etag})
    assert renamed.status_code == 200
    assert ada.patch(url, {"name": "Ada"}, headers={"If-Match": etag}).status_code == 412
    assert ada.patch(url, {"name": "Ada"}, headers={"If-Match": renamed["ETag"]}).status_code == 200
