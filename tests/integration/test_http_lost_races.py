"""Who loses a race for stock or for an order's next move is told what was found, and what is possible now."""

import pytest

from orders.commands import create_product
from orders.models import Product
from tests.api import body, client_of, person
from tests.threads import at_once


@pytest.fixture
def ada(store):
    create_product(sku="A", name="Apple", price_cents=120, stock=2)
    return person("ada")


@pytest.fixture
def staff(store):
    return person("sam", is_staff=True)


def outcome(responses):
    """(the winner, the problem of the loser)."""
    [won] = [response for response in responses if response.status_code < 300]
    [lost] = [response for response in responses if response.status_code >= 300]
    assert lost.status_code == 409
    return won, body(lost)


def test_last_goods_go_to_one_of_two(ada):
    order = {"lines": [{"sku": "A", "quantity": 2}]}
    _, lost = outcome(at_once(*(lambda: client_of(ada).post("/api/orders", order) for _ in range(2))))
    assert (lost["code"], lost["facts"]) == ("not_enough_stock", {"sku": "A", "wanted": 2, "available": 0})


def test_payment_and_cancellation_at_once(ada):
    path = client_of(ada).post("/api/orders", {"lines": [{"sku": "A", "quantity": 1}]})["Location"]
    won, lost = outcome(at_once(*(lambda to=to: client_of(ada).post(f"{path}/{to}") for to in ("pay", "cancel"))))
    to, allowed = {"paid": ("cancelled", ["shipped", "refunded"]), "cancelled": ("paid", [])}[body(won)["status"]]
    assert lost["code"] == "move_not_allowed"
    assert lost["facts"] == {"from_status": body(won)["status"], "to_status": to, "allowed": allowed}


def test_goods_counted_out_twice(staff):
    create_product(sku="B", name="Bread", price_cents=1, stock=5)
    counted = (lambda: client_of(staff).post("/api/products/B/restock", {"quantity": -5}) for _ in range(2))
    _, lost = outcome(at_once(*counted))
    assert (lost["code"], lost["facts"]) == ("not_enough_stock", {"sku": "B", "wanted": 5, "available": 0})


def test_more_goods_than_can_be_counted(staff):
    create_product(sku="B", name="Bread", price_cents=1, stock=5)
    refused = client_of(staff).post("/api/products/B/restock", {"quantity": 10**9})
    assert (refused.status_code, body(refused)["code"]) == (409, "too_much_stock")
    assert body(refused)["facts"] == {"sku": "B", "stock": 5, "most": 10**9}
    assert Product.objects.get(sku="B").stock == 5


def test_of_two_staff_who_saw_the_same_product_one_is_refused(ada, staff):
    def rename(name):
        return client_of(staff).patch("/api/products/A", {"name": name}, headers={"If-Match": '"1"'})

    responses = at_once(lambda: rename("Pear"), lambda: rename("Plum"))
    assert sorted(response.status_code for response in responses) == [200, 412]
    [lost] = [response for response in responses if response.status_code == 412]
    assert body(lost)["facts"] == {"found": 2, "expected": 1}
