"""Commands over the API: who may, what is refused and how, versions, tokens. Nothing needs to be projected here."""

import pytest

from orders.commands import create_product
from orders.models import Order, Product
from tests.api import PASSWORD, body, client_of, fields, person
from tests.unreachable import no_postgresql, no_redis
from users.models import User

LINES = {"lines": [{"sku": "A", "quantity": 2}]}
ANY = {"If-Match": "*"}


@pytest.fixture
def people(store):
    return {
        "ada": person("ada"),
        "bob": person("bob"),
        "sam": person("sam", is_staff=True),
        "tim": person("tim", is_staff=True),
        "eve": person("eve", is_staff=True, is_superuser=True),
    }


@pytest.fixture
def clients(people):
    create_product(sku="A", name="Apple", price_cents=120, stock=10)
    return {name: client_of(user) for name, user in people.items()} | {"nobody": client_of(None)}


@pytest.fixture
def order(clients):
    """The address of an order of Ada's."""
    return clients["ada"].post("/api/orders", LINES)["Location"]


# Who may


@pytest.mark.parametrize("path", ["/api/orders", "/api/orders/1/pay", "/api/users/1/deactivate", "/api/auth/logout"])
def test_whoever_is_not_signed_in_is_asked_to(clients, path):
    response = clients["nobody"].post(path, {})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/api/products"),
        ("patch", "/api/products/A"),
        ("post", "/api/products/A/restock"),
        ("post", "/api/orders/1/ship"),
        ("post", "/api/orders/1/deliver"),
        ("post", "/api/orders/1/refund"),
    ],
)
def test_what_staff_do_is_refused_to_customers(clients, order, method, path):
    assert getattr(clients["ada"], method)(path, {}).status_code == 403


@pytest.mark.parametrize("action", ["pay", "cancel"])
def test_foreign_and_absent_orders_are_refused_alike(clients, order, action):
    foreign = clients["bob"].post(f"/api/orders/1/{action}")
    absent = clients["bob"].post(f"/api/orders/999/{action}")
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content.replace(b"999", b"1")
    assert Order.objects.get().status == "placed"


def test_guests_orders_are_moved_by_staff_alone(clients):
    placed = clients["sam"].post("/api/orders", {**LINES, "is_guest": True})
    assert body(placed)["customer_id"] is None
    assert clients["ada"].post(f"{placed['Location']}/pay").status_code == 404
    assert clients["sam"].post(f"{placed['Location']}/pay").status_code == 200


@pytest.mark.parametrize("whose", [{"customer_id": 2}, {"is_guest": True}])
def test_customers_order_for_themselves(clients, whose):
    assert clients["ada"].post("/api/orders", {**LINES, **whose}).status_code == 403
    assert clients["ada"].post("/api/orders", {**LINES, "customer_id": 1}).status_code == 201


def test_staff_order_for_customers(clients):
    assert body(clients["sam"].post("/api/orders", {**LINES, "customer_id": 2}))["customer_id"] == 2
    assert fields(clients["sam"].post("/api/orders", {**LINES, "customer_id": 999})) == ["customer_id"]
    assert fields(clients["sam"].post("/api/orders", {**LINES, "customer_id": 2, "is_guest": True})) == ["is_guest"]


def test_other_users_are_out_of_reach_existing_or_not(clients):
    foreign = clients["bob"].patch("/api/users/1", {"name": "Mine"})
    absent = clients["bob"].patch("/api/users/999", {"name": "Mine"})
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content.replace(b"999", b"1")


def test_staff_are_changed_by_superusers(clients, people):
    colleague = f"/api/users/{people['tim'].pk}"
    assert clients["sam"].patch(colleague, {"email": "mine@example.com"}, headers=ANY).status_code == 403
    assert clients["sam"].post(f"{colleague}/deactivate").status_code == 403
    assert clients["sam"].patch("/api/users/1", {"name": "Countess"}, headers=ANY).status_code == 200
    assert clients["eve"].post(f"{colleague}/deactivate").status_code == 200
    assert body(clients["sam"].patch("/api/users/999", {"name": "Nobody"}, headers=ANY))["code"] == "user_not_found"


def test_deactivated_user_is_signed_out_of_commands(clients):
    assert clients["ada"].post("/api/users/1/deactivate").status_code == 200
    assert clients["ada"].post("/api/orders", LINES).status_code == 401


# What is refused


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({}, ["lines"]),
        ({"lines": []}, ["lines"]),
        ({"lines": [{"sku": "A", "quantity": 1}] * 501}, ["lines"]),
        ({"lines": [{"sku": "A"}, {"quantity": 1}]}, ["lines.0.quantity", "lines.1.sku"]),
        ({"lines": [{"sku": "A", "quantity": "1"}]}, ["lines.0.quantity"]),
        ({"lines": [{"sku": "A", "quantity": True}]}, ["lines.0.quantity"]),
        ({"lines": [{"sku": "A", "quantity": 1.5}]}, ["lines.0.quantity"]),
        ({"lines": [{"sku": "A", "quantity": 0}]}, ["lines.0.quantity"]),
        ({"lines": [{"sku": "A", "quantity": 10**30}]}, ["lines.0.quantity"]),
        ({"lines": [{"sku": 7, "quantity": 1}]}, ["lines.0.sku"]),
        ({"lines": [{"sku": "A", "quantity": 1, "price_cents": 1}]}, ["lines.0.price_cents"]),
        ({"lines": "A"}, ["lines"]),
        ({"lines": ["A"]}, ["lines.0"]),
        ({**LINES, "status": "paid", "total_cents": 0}, ["status", "total_cents"]),
        ({**LINES, "is_guest": "yes"}, ["is_guest"]),
        ({**LINES, "customer_id": None}, ["customer_id"]),
        ({**LINES, "customer_id": 2**63}, ["customer_id"]),
        ({"lines": [{"sku": "Z", "quantity": 1}]}, ["lines"]),
        ([], [""]),
        ("text", [""]),
        (7, [""]),
    ],
)
def test_wrong_orders_name_the_field(clients, sent, named):
    response = clients["sam"].post("/api/orders", sent, format="json")
    assert response.status_code == 400, response.content
    assert fields(response) == named
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({"email": "new@example.com"}, ["name", "password"]),
        ({"email": "no address", "name": "New", "password": PASSWORD}, ["email"]),
        ({"email": "new@example.com", "name": " ", "password": PASSWORD}, ["name"]),
        ({"email": "new@example.com", "name": "New", "password": "short"}, ["password"]),
        ({"email": "new@example.com", "name": "New", "password": "x" * 129}, ["password"]),
        ({"email": "new@example.com", "name": "New", "password": PASSWORD, "is_staff": True}, ["is_staff"]),
    ],
)
def test_wrong_registrations_name_the_field(clients, sent, named):
    response = clients["nobody"].post("/api/users", sent)
    assert response.status_code == 400
    assert fields(response) == named


def test_taken_email_is_a_conflict(clients):
    response = clients["nobody"].post("/api/users", {"email": "ADA@example.com", "name": "A", "password": PASSWORD})
    assert (response.status_code, fields(response)) == (409, ["email"])


def test_change_of_nothing_says_what_can_be_changed(clients):
    response = clients["ada"].patch("/api/users/1", {})
    assert response.status_code == 400
    assert "name, email" in body(response)["detail"]


def test_too_little_stock_tells_what_was_found(clients):
    response = clients["ada"].post("/api/orders", {"lines": [{"sku": "A", "quantity": 11}]})
    assert (response.status_code, response["Content-Type"]) == (409, "application/problem+json")
    assert body(response) == {
        "type": "urn:problem:not-enough-stock",
        "title": "Conflict",
        "status": 409,
        "detail": "11 of A are wanted, 10 are in stock.",
        "instance": "/api/orders",
        "code": "not_enough_stock",
        "facts": {"sku": "A", "wanted": 11, "available": 10},
    }


def test_move_not_allowed_names_the_allowed_ones(clients, order):
    response = clients["sam"].post(f"{order}/deliver")
    assert (response.status_code, body(response)["facts"]["allowed"]) == (409, ["paid", "cancelled"])


@pytest.mark.parametrize("sku", ["a/b", "..", "", "x" * 65])
def test_product_codes_that_no_address_can_hold_are_refused(clients, sku):
    response = clients["sam"].post("/api/products", {"sku": sku, "name": "Odd", "price_cents": 1})
    assert (response.status_code, fields(response)) == (400, ["sku"])


def test_product_code_in_an_address_is_escaped(clients):
    made = clients["sam"].post("/api/products", {"sku": "B/ü ?#%".replace("/", " "), "name": "Odd", "price_cents": 1})
    assert clients["sam"].patch(made["Location"], {"price_cents": 2}, headers=ANY).status_code == 200


@pytest.mark.parametrize("path", ["/api/products/Z", "/api/products/%00"])
def test_unknown_product_is_not_found(clients, path):
    assert clients["sam"].patch(path, {"price_cents": 2}, headers=ANY).status_code == 404


@pytest.mark.parametrize("order_id", [0, 999, 2**63, "9" * 5000])
def test_unknown_order_is_not_found(clients, order_id):
    assert clients["sam"].post(f"/api/orders/{order_id}/pay").status_code == 404


def test_parameters_of_a_command_are_refused(clients):
    assert fields(clients["ada"].post("/api/orders?dry_run=1", LINES)) == ["dry_run"]


def test_action_takes_no_body(clients, order):
    assert fields(clients["ada"].post(f"{order}/pay", {"amount_cents": 1})) == ["amount_cents"]


# Versions


def test_answer_tells_the_version_and_where_it_is(clients):
    response = clients["ada"].post("/api/orders", LINES)
    assert (response.status_code, response["ETag"], response["Location"]) == (201, '"1"', "/api/orders/1")
    assert body(response) == {
        "id": 1,
        "version": 1,
        "status": "placed",
        "customer_id": 1,
        "total_cents": 240,
        "currency": "GBP",
    }


def test_stale_version_is_refused_with_what_was_found(clients, order):
    assert clients["ada"].post(f"{order}/pay", headers={"If-Match": '"1"'}).status_code == 200
    response = clients["sam"].post(f"{order}/ship", headers={"If-Match": '"1"'})
    assert (response.status_code, body(response)["facts"]) == (412, {"found": 2, "expected": 1})


def test_two_changes_at_once_are_held_against_one_version(clients):
    both = {"name": "Countess", "email": "countess@example.com"}
    changed = clients["sam"].patch("/api/users/1", both, headers={"If-Match": '"1"'})
    assert (changed.status_code, body(changed)["version"]) == (200, 3)
    assert clients["sam"].patch("/api/users/1", both, headers={"If-Match": '"1"'}).status_code == 412


def test_second_change_refused_takes_the_first_back(clients):
    both = {"name": "Countess", "email": "bob@example.com"}
    response = clients["sam"].patch("/api/users/1", both, headers=ANY)
    assert response.status_code == 409
    assert User.objects.get(pk=1).name == "Ada"


@pytest.mark.parametrize("etag", ["1", "W/", '"x"', '"1", "2"', 'W/"1"', '"' + "9" * 30 + '"', ""])
def test_if_match_that_is_no_version_is_refused(clients, order, etag):
    response = clients["ada"].post(f"{order}/pay", headers={"If-Match": etag})
    assert (response.status_code, fields(response)) == (400, ["If-Match"])


@pytest.mark.parametrize("path", ["/api/products/A", "/api/users/1", "/api/users/999"])
def test_staff_say_which_version_they_change(clients, path):
    refused = clients["sam"].patch(path, {"name": "New"})
    assert (refused.status_code, body(refused)["code"]) == (428, "version_required")
    assert clients["sam"].patch(path, {"name": "New"}, headers={"If-Match": '"7"'}).status_code in (404, 412)


def test_ones_own_row_is_changed_without_a_version(clients, people):
    assert clients["ada"].patch("/api/users/1", {"name": "Countess"}).status_code == 200
    assert clients["sam"].patch(f"/api/users/{people['sam'].pk}", {"name": "Samuel"}).status_code == 200


def test_any_version_matches_a_star(clients, order):
    assert clients["ada"].post(f"{order}/pay", headers={"If-Match": "*"}).status_code == 200


# Tokens


def test_each_write_has_a_token_of_its_own(clients):
    first, second = (clients["ada"].post("/api/orders", LINES) for _ in range(2))
    assert first["Consistency-Token"] != second["Consistency-Token"]


def test_command_that_writes_nothing_hands_the_token_back(clients, people, monkeypatch):
    monkeypatch.setattr("users.command_views.rename_user", lambda **arguments: people["ada"])
    token = clients["ada"].post("/api/orders", LINES)["Consistency-Token"]
    unchanged = clients["ada"].patch("/api/users/1", {"name": "Ada"}, headers={"Consistency-Token": token})
    assert unchanged["Consistency-Token"] == token
    assert "Consistency-Token" not in clients["ada"].patch("/api/users/1", {"name": "Ada"})


def test_wrong_token_stops_a_command_before_it_writes(clients):
    response = clients["ada"].post("/api/orders", LINES, headers={"Consistency-Token": "forged"})
    assert (response.status_code, fields(response)) == (400, ["Consistency-Token"])
    assert not Order.objects.exists()


# Servers away


def test_commands_need_no_redis(clients, monkeypatch):
    no_redis(monkeypatch)
    assert clients["ada"].post("/api/orders", LINES).status_code == 201


def test_database_away_is_503(clients, monkeypatch):
    no_postgresql(monkeypatch)
    response = clients["ada"].post("/api/orders", LINES)
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert body(response)["code"] == "database_unavailable"


def test_stock_stays_what_it_was_after_a_refusal(clients):
    create_product(sku="B", name="Bread", price_cents=1, stock=0)
    clients["ada"].post("/api/orders", {"lines": [{"sku": "A", "quantity": 1}, {"sku": "B", "quantity": 1}]})
    assert Product.objects.get(sku="A").stock == 10
