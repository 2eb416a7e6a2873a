"""The touched set is exact: a change builds each document that reads what changed, and no other.

Two customers, Ada (1) and Bob (2), and a guest; orders 1 and 2 are Ada's, 3 is Bob's, 4 the guest's; Apple (1) is on
orders 1 and 3, Pear (2) on order 1. `-` stands before what is gone.
"""

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.db import connection, transaction
from knox.models import AuthToken

from orders.models import Order, OrderLine, Product
from readmodels import outbox, projector, testing
from readmodels.values import DocumentWrite
from tests.rows import add_line, add_order, add_product, add_user
from users.models import User

MONDAY, TUESDAY = datetime(2026, 3, 2, 12, tzinfo=UTC), datetime(2026, 3, 3, 12, tzinfo=UTC)


@pytest.fixture
def world(store) -> SimpleNamespace:
    ada, bob = add_user(name="Ada"), add_user(name="Bob")
    apple, pear = add_product(sku="apple"), add_product(sku="pear")
    for customer in (ada, ada, bob, None):
        add_order(customer, placed_at=MONDAY)
    for order_id, product in ((1, apple), (1, pear), (3, apple)):
        add_line(Order.objects.get(pk=order_id), product)
    tokens = [AuthToken.objects.create(user)[0].digest for user in (ada, bob)]
    testing.drain(store)
    return SimpleNamespace(store=store, grants=[f"AccessGrant {digest}" for digest in tokens])


def touched(world: SimpleNamespace) -> set[str]:
    return {_name(write) for write in projector.read(world.store, range(outbox.SHARDS)).writes}


def _name(write) -> str:
    key = write.key if isinstance(write, DocumentWrite) else f"{write.partition}/{write.row_id.lstrip('0')}"
    return f"{'-' if write.body is None else ''}{write.read_model} {key}"


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def rows_of(order_id: int, *, customer_id: int | None, status: str = "placed", day: str = "2026-03-02") -> set[str]:
    """Everything made of one order."""
    own = {f"CustomerOrders {customer_id}/{order_id}"} if customer_id else set()
    return own | {
        f"OrderDetail {order_id}",
        f"OrdersByStatus {status}/{order_id}",
        f"SalesByDay {day}/{order_id}",
    }


def test_new_name_touches_profile_and_own_orders(world):
    User.objects.filter(pk=1).update(name="Countess")
    orders = {f"{of}{order_id}" for of in ("OrderDetail ", "OrdersByStatus placed/") for order_id in (1, 2)}
    assert touched(world) == {"UserProfile 1"} | orders


NOTHING = {
    "last login": "UPDATE users_user SET last_login = now()",
    "password": "UPDATE users_user SET password = 'x'",
    "customer reference": "UPDATE users_user SET external_ref = 'x' || id",
    "invoice number": "UPDATE orders_order SET external_ref = 'x' || id",
    "same name": "UPDATE users_user SET name = name",
    "no row": "UPDATE users_user SET name = 'x' WHERE false",
    "deletion of no row": "DELETE FROM orders_orderline WHERE false",
    "token's own salt": "UPDATE knox_authtoken SET token_key = 'x'",
}


@pytest.mark.parametrize("sql", NOTHING.values(), ids=NOTHING)
def test_unused_column_leaves_the_outbox_empty(world, sql):
    run(sql)
    assert outbox.backlog_rows() == 0


UPDATES = {
    "product price": (
        "UPDATE orders_product SET price_cents = 7 WHERE id = 1",
        {"ProductCard apple", "ProductList all/1"},
    ),
    "product stock": (
        "UPDATE orders_product SET stock = 7 WHERE id = 2",
        {"ProductCard pear"},
    ),
    "product name": (
        "UPDATE orders_product SET name = 'Fuji' WHERE id = 1",
        {"ProductCard apple", "ProductList all/1", "OrderDetail 1", "OrderDetail 3"},
    ),
    "product sku": (
        "UPDATE orders_product SET sku = 'fuji' WHERE id = 1",
        {"ProductCard fuji", "-ProductCard apple", "ProductList all/1", "OrderDetail 1", "OrderDetail 3"},
    ),
    "product in no order": (
        "INSERT INTO orders_product (sku, name, price_cents) VALUES ('fig', 'Fig', 1)",
        {"ProductCard fig", "ProductList all/3"},
    ),
    "line quantity": (
        "UPDATE orders_orderline SET quantity = 9 WHERE order_id = 3",
        {"OrderDetail 3", "SalesByDay 2026-03-02/3"},
    ),
    "line price": (
        "UPDATE orders_orderline SET price_cents = 9 WHERE order_id = 3",
        {"OrderDetail 3"},
    ),
    "line of another product": (
        "UPDATE orders_orderline SET product_id = 2 WHERE order_id = 3",
        {"OrderDetail 3"},
    ),
    "line moved to another order": (
        "UPDATE orders_orderline SET order_id = 2 WHERE order_id = 3",
        {f"{of}{order_id}" for of in ("OrderDetail ", "SalesByDay 2026-03-02/") for order_id in (2, 3)},
    ),
    "new line": (
        "INSERT INTO orders_orderline (order_id, position, product_id, quantity, price_cents) VALUES (4, 1, 1, 1, 1)",
        {"OrderDetail 4", "SalesByDay 2026-03-02/4"},
    ),
    "deleted line": (
        "DELETE FROM orders_orderline WHERE order_id = 3",
        {"OrderDetail 3", "SalesByDay 2026-03-02/3"},
    ),
    "order total": (
        "UPDATE orders_order SET total_cents = 5 WHERE id = 1",
        rows_of(1, customer_id=1),
    ),
    "order version": (
        "UPDATE orders_order SET version = 5 WHERE id = 1",
        {"OrderDetail 1"},
    ),
    "order status": (
        "UPDATE orders_order SET status = 'paid' WHERE id = 1",
        rows_of(1, customer_id=1, status="paid") | {"-OrdersByStatus placed/1"},
    ),
    "order of another customer": (
        "UPDATE orders_order SET customer_id = 2 WHERE id = 1",
        {"OrderDetail 1", "OrdersByStatus placed/1", "CustomerOrders 2/1", "-CustomerOrders 1/1"},
    ),
    "order of nobody": (
        "UPDATE orders_order SET customer_id = NULL WHERE id = 1",
        {"OrderDetail 1", "OrdersByStatus placed/1", "-CustomerOrders 1/1"},
    ),
    "guest's order claimed": (
        "UPDATE orders_order SET customer_id = 2 WHERE id = 4",
        {"OrderDetail 4", "OrdersByStatus placed/4", "CustomerOrders 2/4"},
    ),
    "order of another hour": (
        "UPDATE orders_order SET placed_at = placed_at + interval '1 hour' WHERE id = 1",
        rows_of(1, customer_id=1),
    ),
    "order of another day": (
        "UPDATE orders_order SET placed_at = placed_at + interval '1 day' WHERE id = 1",
        rows_of(1, customer_id=1, day="2026-03-03") | {"-SalesByDay 2026-03-02/1"},
    ),
    "new order": (
        "INSERT INTO orders_order (customer_id, placed_at) VALUES (1, '2026-03-03Z')",
        rows_of(5, customer_id=1, day="2026-03-03"),
    ),
    "deleted order": (
        "DELETE FROM orders_order WHERE id = 2",
        {f"-{name}" for name in rows_of(2, customer_id=1)},
    ),
    "new user": (
        "INSERT INTO users_user (email, name, password, is_superuser) VALUES ('eve@example.com', 'Eve', '', false)",
        {"UserProfile 3"},
    ),
    "user's country": (
        "UPDATE users_user SET country = 'Utopia' WHERE id = 1",
        {"UserProfile 1"},
    ),
}


@pytest.mark.parametrize(("sql", "expected"), UPDATES.values(), ids=UPDATES)
def test_write_touches_exactly(world, sql, expected):
    run(sql)
    assert touched(world) == expected


def test_deactivation_touches_profile_and_own_grants(world):
    User.objects.filter(pk=1).update(is_active=False)
    assert touched(world) == {"UserProfile 1", world.grants[0]}


def test_superuser_flag_touches_own_grants_only(world):
    User.objects.filter(pk=2).update(is_superuser=True)
    assert touched(world) == {world.grants[1]}


def test_deleted_token_touches_its_grant(world):
    AuthToken.objects.filter(user_id=1).delete()
    assert touched(world) == {f"-{world.grants[0]}"}


def test_new_token_touches_its_grant(world):
    token, _ = AuthToken.objects.create(User.objects.get(pk=1))
    assert touched(world) == {f"AccessGrant {token.digest}"}


def test_changed_key_touches_old_and_new(world):
    run("UPDATE orders_order SET id = 70 WHERE id = 2")
    assert touched(world) == rows_of(70, customer_id=1) | {f"-{name}" for name in rows_of(2, customer_id=1)}


def test_customer_with_new_key_touches_own_orders(world):
    with transaction.atomic():
        run("UPDATE users_user SET id = 70 WHERE id = 2")
        run("UPDATE orders_order SET customer_id = 70 WHERE customer_id = 2")
        run("UPDATE knox_authtoken SET user_id = 70 WHERE user_id = 2")
    assert touched(world) == {
        "UserProfile 70",
        "-UserProfile 2",
        "OrderDetail 3",
        "OrdersByStatus placed/3",
        "CustomerOrders 70/3",
        "-CustomerOrders 2/3",
        world.grants[1],
    }


def test_two_moves_touch_every_stop(world):
    Order.objects.filter(pk=1).update(customer_id=2)
    Order.objects.filter(pk=1).update(customer_id=None)
    assert {name for name in touched(world) if "CustomerOrders" in name} == {
        "-CustomerOrders 1/1",
        "-CustomerOrders 2/1",
    }


def test_moved_and_deleted_order_touches_every_stop(world):
    Order.objects.filter(pk=2).update(customer_id=2)
    Order.objects.filter(pk=2).delete()
    assert {name for name in touched(world) if "CustomerOrders" in name} == {
        "-CustomerOrders 1/2",
        "-CustomerOrders 2/2",
    }


def test_bulk_update_adds_one_change_per_row(world):
    Product.objects.update(stock=9)
    assert outbox.backlog_rows() == 2
    assert touched(world) == {"ProductCard apple", "ProductCard pear"}


def test_changes_to_one_document_build_it_once(world):
    for quantity in range(2, 9):
        OrderLine.objects.filter(order_id=3).update(quantity=quantity)
    batch = projector.read(world.store, range(outbox.SHARDS))
    assert (len(batch.changes), len(batch.writes)) == (7, 2)


def test_everything_touched_obeys_the_law(world):
    for sql, _ in UPDATES.values():
        run(sql.replace("WHERE id = 2", "WHERE id = 2 AND false") if sql.startswith("DELETE") else sql)
    testing.drain(world.store)
    testing.assert_law(world.store)
