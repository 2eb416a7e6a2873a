"""Many orders quickly: those that there are, over and over again."""

from django.db import connection

# Ids stand in a row from 1 on, as `shop.fill` leaves them.
COPIES = (
    """INSERT INTO orders_order (id, customer_id, status, total_cents, currency, placed_at, updated_at, version)
       SELECT id + %(orders)s * k, customer_id, status, total_cents, currency, placed_at + k * interval '1 second',
              updated_at, version FROM orders_order, generate_series(1, %(times)s - 1) k""",
    """INSERT INTO orders_orderline (order_id, position, product_id, quantity, price_cents)
       SELECT order_id + %(orders)s * k, position, product_id, quantity, price_cents
       FROM orders_orderline, generate_series(1, %(times)s - 1) k""",
    "SELECT setval(pg_get_serial_sequence('orders_order', 'id'), max(id)) FROM orders_order",
    "TRUNCATE readmodels_change",
    "VACUUM ANALYZE",
)


def multiply(times: int) -> None:
    """There are so many times the orders, of the same customers; nothing of that is projected or pending."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM orders_order")
        [orders] = cursor.fetchone()
        for statement in COPIES:
            cursor.execute(statement, {"orders": orders, "times": times})
