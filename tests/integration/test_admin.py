"""The admin pages of users, products and orders, through HTTP."""

import pytest
from django.test import Client
from knox.models import AuthToken

from orders.commands import create_product, pay_order, place_order
from orders.models import Order, Product
from users.models import User

PASSWORD = "horse-staple-battery"


@pytest.fixture
def client(db):
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com", PASSWORD, name="Root"))
    return client


@pytest.fixture
def ada(db):
    return User.objects.create_user("ada@example.com", PASSWORD, name="Ada")


@pytest.fixture
def order(db, ada):
    create_product(sku="A", name="Apple", price_cents=120, stock=10)
    return place_order(customer_id=ada.pk, lines=[("A", 2)])


def user_form(user: User, **values: object) -> dict[str, object]:
    return {"email": user.email, "name": user.name, "country": user.country, "is_active": "on", **values}


def run_action(client: Client, page: str, action: str, *rows: int) -> None:
    answer = client.post(f"/admin/{page}/", {"action": action, "_selected_action": rows})
    assert answer.status_code == 302


def test_admin_signs_in_with_email_in_any_case(db):
    User.objects.create_superuser("root@example.com", PASSWORD, name="Root")
    answer = Client().post("/admin/login/?next=/admin/", {"username": "Root@Example.com", "password": PASSWORD})
    assert answer.status_code == 302


@pytest.mark.parametrize("page", ["users/user", "orders/product", "orders/order"])
@pytest.mark.parametrize("query", ["", "?q=ada", "?q=1", "?o=1"])
def test_lists_are_shown_and_searched(client, order, page, query):
    assert client.get(f"/admin/{page}/{query}").status_code == 200


def test_pages_of_rows_are_shown(client, order, ada):
    product = Product.objects.get()
    for page in (f"orders/order/{order.pk}", f"orders/product/{product.pk}", f"users/user/{ada.pk}"):
        assert client.get(f"/admin/{page}/change/").status_code == 200
    for page in ("users/user/add", "orders/product/add", f"users/user/{ada.pk}/password"):
        assert client.get(f"/admin/{page}/").status_code == 200


def test_added_user_can_sign_in(client):
    answer = client.post(
        "/admin/users/user/add/",
        {
            "email": "Bob@Example.com",
            "name": "Bob",
            "usable_password": "true",
            "password1": PASSWORD,
            "password2": PASSWORD,
        },
    )
    assert answer.status_code == 302
    assert Client().login(username="bob@example.com", password=PASSWORD)


def test_email_of_another_user_is_refused_in_any_case(client, ada):
    answer = client.post(
        "/admin/users/user/add/", {"email": "ADA@example.com", "name": "A", "usable_password": "false"}
    )
    assert answer.status_code == 200
    assert b"Another user has this e-mail." in answer.content


def test_changed_user_has_the_next_version(client, ada):
    assert client.post(f"/admin/users/user/{ada.pk}/change/", user_form(ada, name="Countess")).status_code == 302
    ada.refresh_from_db()
    assert (ada.name, ada.version) == ("Countess", 2)


def test_user_made_inactive_on_their_page_is_signed_out(client, ada):
    AuthToken.objects.create(user=ada)
    client.post(f"/admin/users/user/{ada.pk}/change/", user_form(ada, is_active=""))
    assert not AuthToken.objects.filter(user=ada).exists()


def test_password_page_changes_the_password(client, ada):
    client.post(
        f"/admin/users/user/{ada.pk}/password/",
        {"password1": "battery-staple-horse", "password2": "battery-staple-horse", "usable_password": "true"},
    )
    assert Client().login(username="ada@example.com", password="battery-staple-horse")


def test_users_are_deactivated_in_bulk_and_signed_out(client, ada):
    AuthToken.objects.create(user=ada)
    run_action(client, "users/user", "deactivate", ada.pk)
    ada.refresh_from_db()
    assert (ada.is_active, ada.version, AuthToken.objects.count()) == (False, 2, 0)
    run_action(client, "users/user", "reactivate", ada.pk)
    ada.refresh_from_db()
    assert (ada.is_active, ada.version) == (True, 3)


def test_erased_person_is_gone(client, ada, order):
    run_action(client, "users/user", "erase", ada.pk)
    ada.refresh_from_db()
    assert (ada.name, ada.is_active) == ("Erased user", False)
    assert Order.objects.get().customer_id == ada.pk


def test_only_paid_orders_are_marked_shipped(client, order):
    paid = place_order(customer_id=None, lines=[("A", 1)])
    pay_order(order_id=paid.pk)
    run_action(client, "orders/order", "mark_shipped", order.pk, paid.pk)
    assert list(Order.objects.order_by("pk").values_list("status", "version")) == [("placed", 1), ("shipped", 3)]


def test_product_page_does_not_write_back_stock(client, order):
    product = Product.objects.get()
    client.post(
        f"/admin/orders/product/{product.pk}/change/",
        {"name": "Pear", "price_cents": 99, "currency": "GBP", "stock": 1000, "sku": "Z"},
    )
    product.refresh_from_db()
    assert (product.name, product.price_cents, product.stock, product.sku, product.version) == ("Pear", 99, 8, "A", 3)


def test_order_page_keeps_total_and_status(client, order):
    answer = client.post(
        f"/admin/orders/order/{order.pk}/change/",
        {
            "customer": "",
            "total_cents": 1,
            "status": "paid",
            "lines-TOTAL_FORMS": 0,
            "lines-INITIAL_FORMS": 0,
        },
    )
    assert answer.status_code == 302
    order.refresh_from_db()
    assert (order.customer_id, order.total_cents, order.status, order.version) == (None, 240, "placed", 2)


def test_deleted_order_takes_its_lines_along(client, order):
    run_answer = client.post(f"/admin/orders/order/{order.pk}/delete/", {"post": "yes"})
    assert run_answer.status_code == 302
    assert not Order.objects.exists()
