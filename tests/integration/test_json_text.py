"""Documents as PostgreSQL writes them down: entries in the order of the declaration, alike on each of its versions."""

import json

from django.db import connection

from orders.readmodels.order_detail import OrderDetail
from readmodels.compiler import compile_plan
from tests.rows import add_line, add_order, add_product, add_user


def built(order_id: int) -> str:
    with connection.cursor() as cursor:
        cursor.execute(compile_plan(OrderDetail).build_sql, [[str(order_id)]])
        [(_, body)] = cursor.fetchall()
    return str(body)


def some_order() -> int:
    order = add_order(add_user(name='Ada "the first" \\ Ünal'))
    add_line(order, add_product(name="Cup\u2028 </script>"))
    return order.pk


def test_entries_come_as_declared(db):
    found = json.loads(built(some_order()))
    assert list(found) == list(OrderDetail.body)
    assert list(found["lines"][0]) == list(OrderDetail.body["lines"].body)
    assert found["customer"]["name"] == 'Ada "the first" \\ Ünal'
    assert found["lines"][0]["name"] == "Cup\u2028 </script>"


def test_older_postgresql_builds_the_same(db, monkeypatch):
    order_id = some_order()
    found = built(order_id)
    monkeypatch.setattr(connection.features, "is_postgresql_16", False)
    assert "JSON_BUILD_OBJECT" in compile_plan(OrderDetail).build_sql
    assert json.loads(built(order_id)) == json.loads(found)
