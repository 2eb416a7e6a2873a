"""Staff at work in the admin: what they change there, the API's queries show."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import httpx
import pytest
from playwright.sync_api import Page, expect

from project.child import wait_until
from tests.browser.conftest import ACCOUNTS

# A change is in the documents within a tenth of a second; this is for a machine that does much else.
PROJECTED_SECONDS = 15
NUMBERS = count(1)


@dataclass(frozen=True)
class Customer:
    """Somebody new with orders that are placed and not paid yet."""

    user_id: int
    email: str
    order_ids: list[int]


@pytest.fixture
def admin(page: Page) -> Page:
    page.goto("/admin/")
    page.get_by_label("Email").fill(ACCOUNTS["admin"].email)
    page.get_by_label("Password").fill(ACCOUNTS["admin"].password)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Site administration")).to_be_visible()
    return page


@pytest.fixture
def customer(staff: httpx.Client) -> Customer:
    number = next(NUMBERS)
    email, sku = f"ada-{number}@example.com", f"APPLE-{number}"
    create(staff, "products", sku=sku, name="Apple", price_cents=120, stock=10)
    user_id = create(staff, "users", email=email, name="Ada Byron", password="horse-staple-battery")
    lines = [{"sku": sku, "quantity": 2}]
    return Customer(user_id, email, [create(staff, "orders", customer_id=user_id, lines=lines) for _ in range(3)])


def test_orders_marked_in_the_list_are_paid_for_queries(admin, staff, customer):
    admin.goto("/admin/orders/order/")
    for order_id in customer.order_ids[:2]:
        admin.get_by_label(f"Select this object for an action - Order {order_id}", exact=True).check()
    admin.get_by_role("combobox", name="Action").select_option("Mark as paid")
    admin.get_by_role("button", name="Go").click()
    expect(admin.get_by_text("2 of 2 orders are paid now.")).to_be_visible()
    soon(lambda: [order["status"] for order in orders(staff, customer)], ["paid", "paid", "placed"])


def test_every_order_follows_a_user_renamed_in_the_form(admin, staff, customer):
    admin.goto("/admin/users/user/")
    admin.get_by_role("link", name=customer.email).click()
    admin.get_by_label("Name:").fill("Countess of Lovelace")
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_text("was changed successfully")).to_be_visible()
    soon(lambda: [order["customer"]["name"] for order in orders(staff, customer)], ["Countess of Lovelace"] * 3)


def test_an_erased_person_is_in_no_order_and_no_history(admin, staff, customer):
    admin.goto("/admin/users/user/")
    admin.get_by_label(f"Select this object for an action - {customer.email}", exact=True).check()
    admin.get_by_role("combobox", name="Action").select_option("Erase the person")
    admin.get_by_role("button", name="Go").click()
    expect(admin.get_by_text("1 users erased.")).to_be_visible()
    expect(admin.get_by_text("not everything is gone")).to_have_count(0)
    # At once: nobody waits for a worker.
    assert [order["customer"]["name"] for order in orders(staff, customer)] == ["Erased user"] * 3
    admin.goto(f"/admin/users/user/{customer.user_id}/history/")
    expect(admin.get_by_text("Erased.", exact=True)).to_be_visible()
    expect(admin.get_by_text(customer.email)).to_have_count(0)


def test_a_refused_form_says_why_and_changes_nothing(admin, customer):
    form = f"/admin/users/user/{customer.user_id}/change/"
    admin.goto(form)
    admin.get_by_label("Name:").fill("Somebody Else")
    admin.get_by_label("Email:").fill(ACCOUNTS["customer"].email.upper())
    admin.get_by_role("button", name="Save", exact=True).click()
    expect(admin.get_by_text("Another user has this e-mail.")).to_be_visible()
    admin.goto(form)
    expect(admin.get_by_label("Name:")).to_have_value("Ada Byron")
    expect(admin.get_by_label("Email:")).to_have_value(customer.email)


def create(api: httpx.Client, what: str, **fields: object) -> int | None:
    """The id of the new one, where it has one."""
    return api.post(f"/api/{what}", json=fields).raise_for_status().json().get("id")


def orders(api: httpx.Client, customer: Customer) -> list[dict]:
    """What the query of each order answers."""
    return [api.get(f"/api/orders/{order_id}").raise_for_status().json() for order_id in customer.order_ids]


def soon(find: Callable[[], object], expected: object) -> None:
    wait_until(lambda: find() == expected, PROJECTED_SECONDS)
    assert find() == expected
