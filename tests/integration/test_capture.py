"""Promise 1: no change is missed, whoever writes and however; what is rolled back is never projected."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test import Client
from knox.models import AuthToken

from orders.models import Order, OrderLine, Product
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from orders.readmodels.product_card import ProductCard
from orders.readmodels.sales_by_day import SalesByDay
from readmodels import outbox, rebuild, testing
from readmodels.declare import Document
from readmodels.query import Key, Reader
from readmodels.store import Store
from tests.rows import add_line, add_order, add_product, add_user
from users.models import User
from users.readmodels.access_grant import AccessGrant
from users.readmodels.user_profile import UserProfile

DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def psql(store: Store) -> Iterator[psycopg.Connection]:
    """A connection that Django knows nothing of, as psql or another program has one."""
    with psycopg.connect(**connection.get_connection_params(), autocommit=True) as other:
        yield other


@pytest.fixture
def admin(store: Store) -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("root@example.com", "horse-staple-battery", name="Root"))
    return client


def document(store: Store, of: type[Document], key: Key) -> Any:
    """The document once all is projected, None if there is none; what else was projected obeys the law."""
    testing.drain(store)
    testing.assert_law(store)
    body = Reader(store).document(of, key).body
    return body and json.loads(body)


def listed(store: Store, customer: User) -> set[int]:
    testing.drain(store)
    testing.assert_law(store)
    return {json.loads(row)["id"] for row in Reader(store).page(CustomerOrders, customer.pk).rows}


# The ORM


def test_saved_row_is_captured(store):
    user = User(email="ada@example.com", name="Ada")
    user.save()
    assert document(store, UserProfile, user.pk)["name"] == "Ada"


def test_saved_again_is_captured(store):
    user = add_user()
    testing.drain(store)
    user.name = "Other"
    user.save(update_fields=["name"])
    assert document(store, UserProfile, user.pk)["name"] == "Other"


def test_created_row_is_captured(store):
    assert document(store, ProductCard, Product.objects.create(sku="A", name="Apple", price_cents=1).sku)


def test_queryset_update_is_captured(store):
    products = [add_product() for _ in range(3)]
    testing.drain(store)
    Product.objects.update(name="Same")
    assert all(document(store, ProductCard, product.sku)["name"] == "Same" for product in products)


def test_expression_update_is_captured(store):
    product = add_product(stock=3)
    testing.drain(store)
    Product.objects.filter(pk=product.pk).update(stock=F("stock") + 4)
    assert document(store, ProductCard, product.sku)["stock"] == 7


def test_bulk_create_is_captured(store):
    Product.objects.bulk_create(Product(sku=f"P{n}", name="P", price_cents=n) for n in range(1200))
    assert document(store, ProductCard, "P1199")["price_cents"] == 1199


def test_bulk_create_that_ignores_conflicts_is_captured(store):
    add_product(sku="old", name="Old")
    rows = [Product(sku=sku, name="New", price_cents=1) for sku in ("old", "new")]
    Product.objects.bulk_create(rows, ignore_conflicts=True)
    assert [document(store, ProductCard, sku)["name"] for sku in ("old", "new")] == ["Old", "New"]


def test_bulk_create_that_updates_conflicts_is_captured(store):
    add_product(sku="old", name="Old")
    testing.drain(store)
    rows = [Product(sku=sku, name="New", price_cents=1) for sku in ("old", "new")]
    Product.objects.bulk_create(rows, update_conflicts=True, unique_fields=["sku"], update_fields=["name"])
    assert [document(store, ProductCard, sku)["name"] for sku in ("old", "new")] == ["New", "New"]


def test_bulk_update_is_captured(store):
    products = [add_product() for _ in range(3)]
    testing.drain(store)
    for number, product in enumerate(products):
        product.stock = number + 10
    Product.objects.bulk_update(products, ["stock"])
    assert [document(store, ProductCard, product.sku)["stock"] for product in products] == [10, 11, 12]


def test_deleted_row_is_captured(store):
    product = add_product()
    assert document(store, ProductCard, product.sku)
    product.delete()
    assert document(store, ProductCard, product.sku) is None


def test_queryset_delete_is_captured(store):
    order = add_order(add_user())
    add_line(order, add_product())
    testing.drain(store)
    OrderLine.objects.all().delete()
    assert document(store, OrderDetail, order.pk)["lines"] == []


def test_cascade_is_captured(store):
    user = add_user()
    token, _ = AuthToken.objects.create(user)
    assert document(store, AccessGrant, token.digest)
    User.objects.filter(pk=user.pk).delete()
    assert document(store, AccessGrant, token.digest) is None


def test_cascade_of_the_database_is_captured(store, psql):
    order = add_order(None, placed_at=DAY)
    add_line(order, add_product(), quantity=5)
    testing.drain(store)
    psql.execute(
        "ALTER TABLE orders_orderline ADD CONSTRAINT cascading FOREIGN KEY (order_id) REFERENCES orders_order"
        " ON DELETE CASCADE"
    )
    try:
        psql.execute("DELETE FROM orders_order WHERE id = %s", [order.pk])
    finally:
        psql.execute("ALTER TABLE orders_orderline DROP CONSTRAINT cascading")
    assert document(store, OrderDetail, order.pk) is None
    assert not OrderLine.objects.exists()


def test_get_or_create_is_captured(store):
    product, _ = Product.objects.get_or_create(sku="A", defaults={"name": "Apple", "price_cents": 1})
    assert document(store, ProductCard, "A")
    Product.objects.update_or_create(sku="A", defaults={"name": "Pear"})
    assert document(store, ProductCard, product.sku)["name"] == "Pear"


# The admin


def test_admin_page_is_captured(store, admin):
    product = add_product()
    testing.drain(store)
    form = {"name": "Pear", "price_cents": 99, "currency": "GBP"}
    assert admin.post(f"/admin/orders/product/{product.pk}/change/", form).status_code == 302
    assert document(store, ProductCard, product.sku)["name"] == "Pear"


def test_admin_bulk_action_is_captured(store, admin):
    users = [add_user(), add_user()]
    testing.drain(store)
    form = {"action": "deactivate", "_selected_action": [user.pk for user in users]}
    assert admin.post("/admin/users/user/", form).status_code == 302
    assert [document(store, UserProfile, user.pk)["is_active"] for user in users] == [False, False]


def test_admin_deletion_is_captured(store, admin):
    product = add_product()
    assert document(store, ProductCard, product.sku)
    assert admin.post(f"/admin/orders/product/{product.pk}/delete/", {"post": "yes"}).status_code == 302
    assert document(store, ProductCard, product.sku) is None


# SQL that Django never sees


def test_sql_from_elsewhere_is_captured(store, psql):
    product = add_product()
    testing.drain(store)
    psql.execute("UPDATE orders_product SET name = 'Pear' WHERE id = %s", [product.pk])
    assert document(store, ProductCard, product.sku)["name"] == "Pear"


def test_copy_is_captured(store, psql):
    with psql.cursor() as cursor, cursor.copy("COPY orders_product (sku, name, price_cents) FROM STDIN") as copy:
        for number in range(1000):
            copy.write_row((f"P{number}", "Copied", number))
    assert document(store, ProductCard, "P999")["price_cents"] == 999


def test_merge_is_captured(store, psql):
    kept, gone = add_product(stock=1), add_product()
    testing.drain(store)
    psql.execute(
        """
        MERGE INTO orders_product p USING (VALUES (%s, 5), (%s, 0), ('new', 9)) AS given (sku, stock)
        ON p.sku = given.sku
        WHEN MATCHED AND given.stock = 0 THEN DELETE
        WHEN MATCHED THEN UPDATE SET stock = given.stock
        WHEN NOT MATCHED THEN INSERT (sku, name, price_cents, stock) VALUES (given.sku, 'New', 1, given.stock)
        """,
        [kept.sku, gone.sku],
    )
    assert document(store, ProductCard, kept.sku)["stock"] == 5
    assert document(store, ProductCard, gone.sku) is None
    assert document(store, ProductCard, "new")["stock"] == 9


def test_upsert_is_captured(store, psql):
    add_product(sku="old", name="Old")
    testing.drain(store)
    psql.execute(
        "INSERT INTO orders_product (sku, name, price_cents) VALUES ('old', 'Newer', 1), ('new', 'New', 1)"
        " ON CONFLICT (sku) DO UPDATE SET name = excluded.name"
    )
    assert [document(store, ProductCard, sku)["name"] for sku in ("old", "new")] == ["Newer", "New"]


def test_writing_query_is_captured(store, psql):
    user, order = add_user(), add_order(None)
    testing.drain(store)
    psql.execute(
        "WITH taken AS (UPDATE orders_order SET customer_id = %s WHERE id = %s RETURNING customer_id)"
        " UPDATE users_user SET name = 'Buyer' FROM taken WHERE id = taken.customer_id",
        [user.pk, order.pk],
    )
    assert document(store, OrderDetail, order.pk)["customer"] == {"id": user.pk, "name": "Buyer"}
    assert listed(store, user) == {order.pk}


def test_changed_key_is_captured(store, psql):
    user = add_user()
    assert document(store, UserProfile, user.pk)
    psql.execute("UPDATE users_user SET id = 7000 WHERE id = %s", [user.pk])
    assert document(store, UserProfile, user.pk) is None
    assert document(store, UserProfile, 7000)["name"] == user.name


def test_changed_key_of_a_row_is_captured(store, psql):
    order = add_order(user := add_user(), placed_at=DAY)
    assert listed(store, user) == {order.pk}
    psql.execute("UPDATE orders_order SET id = 7000 WHERE id = %s", [order.pk])
    assert listed(store, user) == {7000}


def test_changed_sku_leaves_no_old_document(store):
    product = add_product(sku="old")
    assert document(store, ProductCard, "old")
    Product.objects.filter(pk=product.pk).update(sku="new")
    assert document(store, ProductCard, "old") is None
    assert document(store, ProductCard, "new")["name"] == product.name


def test_swapped_skus_swap_documents(store):
    one, other = add_product(sku="A", name="One"), add_product(sku="B", name="Other")
    testing.drain(store)
    with transaction.atomic():
        for pk, sku in ((one.pk, "between"), (other.pk, "A"), (one.pk, "B")):
            Product.objects.filter(pk=pk).update(sku=sku)
    assert [document(store, ProductCard, sku)["name"] for sku in ("A", "B")] == ["Other", "One"]
    assert document(store, ProductCard, "between") is None


def test_swap_across_two_drains_ends_right(store):
    one, other = add_product(sku="A", name="One"), add_product(sku="B", name="Other")
    testing.drain(store)
    for pk, sku in ((one.pk, "between"), (other.pk, "A"), (one.pk, "B")):
        Product.objects.filter(pk=pk).update(sku=sku)
        testing.drain(store)
    assert [document(store, ProductCard, sku)["name"] for sku in ("A", "B")] == ["Other", "One"]


@pytest.mark.parametrize("is_emptied_first", [False, True])
def test_truncation_asks_for_a_rebuild(store, psql, is_emptied_first):
    order = add_order(user := add_user(), placed_at=DAY)
    add_line(order, add_product())
    assert listed(store, user) == {order.pk}
    if is_emptied_first:
        Order.objects.update(total_cents=5)  # still pending when the table is emptied
    psql.execute("TRUNCATE orders_order, orders_orderline")
    assert rebuild.is_due(store)
    assert document(store, OrderDetail, order.pk) is None
    assert listed(store, user) == set()
    assert Reader(store).page(SalesByDay, DAY.date()).measures[""]["orders"] == 0
    assert not rebuild.is_due(store)


def test_rows_written_after_a_truncation_are_there(store, psql):
    add_product(sku="old")
    testing.drain(store)
    with psql.transaction():
        psql.execute("TRUNCATE orders_product CASCADE")
        psql.execute("INSERT INTO orders_product (sku, name, price_cents) VALUES ('new', 'New', 1)")
    assert document(store, ProductCard, "new")
    assert document(store, ProductCard, "old") is None


def test_truncated_lines_leave_their_orders(store, psql):
    order = add_order(add_user(), placed_at=DAY)
    add_line(order, add_product(), quantity=5)
    testing.drain(store)
    assert Reader(store).page(SalesByDay, DAY.date()).measures[""]["items"] == 5
    psql.execute("TRUNCATE orders_orderline")
    assert document(store, OrderDetail, order.pk)["lines"] == []
    assert Reader(store).page(SalesByDay, DAY.date()).measures[""] == {"orders": 1, "items": 0, "revenue_cents": 0}


# Sessions that switch something off


def test_replicated_write_is_captured(store, psql):
    product = add_product()
    testing.drain(store)
    psql.execute("SET session_replication_role = replica")
    psql.execute("UPDATE orders_product SET name = 'Pear'")
    assert document(store, ProductCard, product.sku)["name"] == "Pear"


def test_write_under_another_search_path_is_captured(store, psql):
    product = add_product()
    testing.drain(store)
    psql.execute("SET search_path = ''")  # as pg_restore and logical replication have it
    psql.execute("UPDATE public.orders_product SET name = 'Pear'")
    assert document(store, ProductCard, product.sku)["name"] == "Pear"


def test_captured_write_is_durable_before_it_is_visible(store, psql):
    add_product()
    psql.execute("SET synchronous_commit = off")
    with psql.transaction():
        assert psql.execute("SHOW synchronous_commit").fetchone() == ("off",)
        psql.execute("UPDATE orders_product SET name = 'Pear'")
        assert psql.execute("SHOW synchronous_commit").fetchone() == ("on",)
    assert psql.execute("SHOW synchronous_commit").fetchone() == ("off",)


def test_uncaptured_write_keeps_its_durability(store, psql):
    add_user()
    psql.execute("SET synchronous_commit = off")
    with psql.transaction():
        psql.execute("UPDATE users_user SET last_login = now()")
        assert psql.execute("SHOW synchronous_commit").fetchone() == ("off",)


# What never happened


def rolled_back(write: Callable[[], object]) -> None:
    with transaction.atomic():
        write()
        transaction.set_rollback(True)


def test_rolled_back_transaction_leaves_nothing(store):
    product = add_product(name="Apple")
    testing.drain(store)
    rolled_back(lambda: [Product.objects.update(name="Never"), add_product(sku="never")])
    assert outbox.backlog_rows() == 0
    assert document(store, ProductCard, product.sku)["name"] == "Apple"
    assert document(store, ProductCard, "never") is None


def test_rolled_back_savepoint_leaves_nothing(store):
    with transaction.atomic():
        kept = add_product()
        rolled_back(lambda: add_product(sku="never"))
    assert outbox.backlog_rows() == 1
    assert document(store, ProductCard, kept.sku)
    assert document(store, ProductCard, "never") is None


def test_uncommitted_write_is_not_projected(store, psql):
    product = add_product(name="Apple")
    testing.drain(store)
    with psql.transaction():
        psql.execute("UPDATE orders_product SET name = 'Pear'")
        assert document(store, ProductCard, product.sku)["name"] == "Apple"
    assert document(store, ProductCard, product.sku)["name"] == "Pear"


def test_projected_rows_are_gone_from_the_outbox(store):
    add_order(add_user())
    assert outbox.backlog_rows() == 2
    testing.drain(store)
    assert outbox.backlog_rows() == 0
