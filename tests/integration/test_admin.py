"""The admin pages of users, products and orders, through HTTP."""

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from knox.models import AuthToken

from orders.batch.models import ImportJob
from orders.commands import create_product, pay_order, place_order
from orders.models import Order, OrderLine, Product
from users.models import Erasure, User

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


def run_action(client: Client, page: str, action: str, *rows: int, query: str = "") -> None:
    answer = client.post(f"/admin/{page}/{query}", {"action": action, "_selected_action": rows})
    assert answer.status_code == 302


def messages(client: Client) -> list[str]:
    """What the next page tells of what was done."""
    return [str(message) for message in client.get("/admin/").context["messages"]]


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


@pytest.mark.parametrize("state", ["placed", "cancelled"])
def test_orders_are_not_deleted(client, order, state):
    Order.objects.update(status=state)
    assert client.post(f"/admin/orders/order/{order.pk}/delete/", {"post": "yes"}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": [order.pk], "post": "yes"}
    client.post("/admin/orders/order/", form)
    assert OrderLine.objects.filter(order=order).count() == 1


def test_product_that_was_sold_is_not_deleted(client, order):
    unsold = create_product(sku="B", name="Banana", price_cents=20, stock=1)
    pages = [f"/admin/orders/product/{product.pk}/delete/" for product in (order.lines.get().product, unsold)]
    assert [client.post(page, {"post": "yes"}).status_code for page in pages] == [403, 302]
    assert [product.sku for product in Product.objects.all()] == ["A"]


def test_moved_orders_are_counted_though_the_filter_shows_them_no_more(client, order, ada):
    place_order(customer_id=ada.pk, lines=[("A", 1)])
    chosen = list(Order.objects.values_list("pk", flat=True))
    run_action(client, "orders/order", "mark_paid", *chosen, query="?status__exact=placed")
    assert messages(client) == ["2 of 2 orders are paid now."]


def test_erased_users_are_counted_though_the_filter_shows_them_no_more(client, ada):
    run_action(client, "users/user", "erase", ada.pk, query="?is_active__exact=1")
    assert messages(client) == ["1 users erased."]


def test_moved_orders_have_it_in_their_history(client, order):
    paid = place_order(customer_id=None, lines=[("A", 1)])
    pay_order(order_id=paid.pk)
    run_action(client, "orders/order", "mark_shipped", order.pk, paid.pk)
    assert list(LogEntry.objects.values_list("object_id", "change_message", "user__email")) == [
        (str(paid.pk), "Marked as shipped.", "root@example.com")
    ]
    assert b"Marked as shipped." in client.get(f"/admin/orders/order/{paid.pk}/history/").content


def test_users_acted_on_have_it_in_their_history(client, ada):
    run_action(client, "users/user", "deactivate", ada.pk)
    run_action(client, "users/user", "deactivate", ada.pk)
    run_action(client, "users/user", "reactivate", ada.pk)
    run_action(client, "users/user", "erase", ada.pk)
    entries = LogEntry.objects.filter(object_id=str(ada.pk)).order_by("pk")
    assert [entry.change_message for entry in entries] == ["Deactivated and signed out.", "Reactivated.", "Erased."]


def test_history_forgets_who_an_erased_person_was(client, ada):
    client.post(f"/admin/users/user/{ada.pk}/change/", user_form(ada, name="Countess"))
    run_action(client, "users/user", "deactivate", ada.pk)
    run_action(client, "users/user", "erase", ada.pk)
    assert LogEntry.objects.count() == 3
    assert not LogEntry.objects.filter(object_repr__contains="ada").exists()


def test_staff_are_erased_by_superusers_only(db, ada):
    staff = User.objects.create_user("sam@example.com", PASSWORD, name="Sam", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(content_type__app_label="users"))
    peer = User.objects.create_user("peer@example.com", name="Peer", is_staff=True)
    client = Client()
    client.force_login(staff)
    run_action(client, "users/user", "erase", peer.pk, ada.pk)
    assert messages(client) == ["1 users erased.", "1 left: only a superuser may erase staff."]
    assert set(User.objects.values_list("name", flat=True)) == {"Sam", "Peer", "Erased user"}


def test_receipts_are_read_and_nothing_else(client, ada):
    run_action(client, "users/user", "erase", ada.pk)
    receipt = Erasure.objects.get()
    assert client.get(f"/admin/users/erasure/?q={ada.pk}").context["cl"].result_count == 1
    page = f"/admin/users/erasure/{receipt.pk}"
    assert client.get(f"{page}/change/").status_code == 200
    assert [client.post(f"{page}/{what}/", {"post": "yes"}).status_code for what in ("change", "delete")] == [403, 403]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("price_cents", -1, "Ensure this value is greater than or equal to 0."),
        ("price_cents", 10**9, "Ensure this value is less than or equal to 100000000."),
        ("stock", -1, "Ensure this value is greater than or equal to 0."),
        ("currency", "gbp", "Three capital letters, such as GBP."),
        ("sku", "A/B", "Must hold no slash."),
    ],
)
def test_refused_product_says_so_at_the_field(client, name, value, message):
    form = {"sku": "A", "name": "Apple", "price_cents": 1, "currency": "GBP", "stock": 1, name: value}
    answer = client.post("/admin/orders/product/add/", form)
    assert answer.status_code == 200
    assert dict(answer.context["adminform"].form.errors) == {name: [message]}


def test_list_of_orders_shows_totals_and_leads_to_customers(client, order, ada):
    place_order(customer_id=None, lines=[("A", 1)])
    page = client.get("/admin/orders/order/").content.decode()
    assert '<td class="field-total">2.40 GBP</td>' in page
    assert f'<a href="/admin/users/user/{ada.pk}/change/">ada@example.com</a>' in page
    assert '<td class="field-customer_link">guest</td>' in page
    assert "field-version" not in page


@pytest.mark.parametrize("page", ["users/user/", "users/user/{user_id}/change/"])
def test_users_lead_to_their_orders(client, order, ada, page):
    place_order(customer_id=None, lines=[("A", 1)])
    link = f"/admin/orders/order/?customer__id__exact={ada.pk}"
    assert f'<a href="{link}">' in client.get(f"/admin/{page.format(user_id=ada.pk)}").content.decode()
    assert list(client.get(link).context["cl"].queryset) == [order]


def test_lines_of_an_order_name_their_products_in_one_query(client, ada):
    for sku in "ABC":
        create_product(sku=sku, name=sku, price_cents=1965, stock=10)
    orders = [place_order(customer_id=ada.pk, lines=[(sku, 1) for sku in skus]) for skus in ("A", "ABC")]
    with CaptureQueriesContext(connection) as few:
        client.get(f"/admin/orders/order/{orders[0].pk}/change/")
    with CaptureQueriesContext(connection) as many:
        page = client.get(f"/admin/orders/order/{orders[1].pk}/change/").content.decode()
    assert len(many) == len(few)
    assert "1 x C" in page
    assert "19.65 GBP" in page


def test_nobody_mints_tokens(client, ada):
    AuthToken.objects.create(user=ada)
    assert client.get("/admin/knox/authtoken/").status_code == 404
    assert client.post("/admin/knox/authtoken/add/", {"user": ada.pk}).status_code == 404


def test_admin_says_whose_it_is(client):
    page = client.get("/admin/").content.decode()
    assert "Orders: administration" in page
    assert "Django" not in page


def test_import_is_shown_and_not_changed(client):
    job = ImportJob.objects.create(format="ndjson", bytes=2, lines=1)
    job.rejections.create(line=1, code="parse_error", detail="Not JSON")
    page = f"/admin/orders/importjob/{job.pk}"
    assert client.get("/admin/orders/importjob/").status_code == 200
    assert "Not JSON" in client.get(f"{page}/change/").content.decode()
    forbidden = [client.post(path).status_code for path in ("/admin/orders/importjob/add/", f"{page}/delete/")]
    assert forbidden == [403, 403]
    assert client.post(f"{page}/change/", {"lines": 5}).status_code == 403
