"""The order as PostgreSQL makes it: finished JSON, by the very SQL that ours is built with, so that it is not the SQL
that makes a difference.
"""

from collections.abc import Sequence
from functools import cache

import psycopg
from django.db import connection

from orders.readmodels.order_detail import OrderDetail
from readmodels.compiler import compile_plan


def documents(ids: Sequence[int]) -> list[tuple[str, str]]:
    """(id, JSON) of these orders."""
    with connection.cursor() as cursor:
        cursor.execute(_sql(), [list(map(str, ids))])
        return list(cursor.fetchall())


def statement(ids: Sequence[int]) -> str:
    """The same as text of SQL."""
    connection.ensure_connection()
    return psycopg.ClientCursor(connection.connection).mogrify(_sql(), [list(map(str, ids))])


@cache
def _sql() -> str:
    return compile_plan(OrderDetail).build_sql
