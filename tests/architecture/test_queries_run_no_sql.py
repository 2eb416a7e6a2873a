"""Promise 3: queries run no SQL, authentication and permission included, for each route found in the URLconf."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

from orders.batch.models import ImportJob
from project import problems
from readmodels.testing import drain
from tests.api import client_of, person
from tests.routes import api_routes, routes
from tests.rows import add_line, add_order, add_product

# One request per route that answers GET; a route without one fails the test below.
SAMPLES = {
    "api": "/api",
    "api/": "/api/",
    "api/account": "/api/account",
    "api/users/<int:user_id>": "/api/users/1",
    "api/users/<int:user_id>/orders": "/api/users/1/orders?status=placed",
    "api/users/<int:user_id>/orders/summary": "/api/users/1/orders/summary",
    "api/orders": "/api/orders?status=placed",
    "api/orders/<int:order_id>": "/api/orders/1",
    "api/orders/import/<int:job_id>": "/api/orders/import/1",
    "api/orders/export": "/api/orders/export",
    "api/products": "/api/products?sort=-sku&fields=sku",
    # Answered here as elsewhere in the API; tests/integration/test_live.py has no database where they are served.
    "api/orders/<int:order_id>/events": "/api/orders/1/events",
    "api/users/<int:user_id>/orders/events": "/api/users/1/orders/events",
    "api/products/<str:sku>": "/api/products/A",
    "api/sales": "/api/sales?from=2026-01-01&to=2026-12-31",
    "api/schema": "/api/schema",
    "api/docs": "/api/docs",
    "api/redoc": "/api/redoc",
}
# Open to anybody.
PUBLIC = ["api", "api/", "api/products", "api/products/<str:sku>", "api/schema", "api/docs", "api/redoc"]
# Led elsewhere, and here there is no such place.
ELSEWHERE = {route: 404 for route in SAMPLES if route.endswith("/events")}
STATUSES = {
    "staff": dict.fromkeys(SAMPLES, 200) | ELSEWHERE,
    "owner": dict.fromkeys(SAMPLES, 200)
    | ELSEWHERE
    | {"api/orders": 403, "api/orders/export": 403, "api/sales": 403, "api/orders/import/<int:job_id>": 404},
    "nobody": dict.fromkeys(SAMPLES, 401) | dict.fromkeys(PUBLIC, 200),
}


class SqlWasRun(AssertionError):
    """A query endpoint turned to the database."""


def query_routes() -> list[str]:
    """The routes under /api that answer GET."""
    return sorted(path for path, view in api_routes().items() if hasattr(view, "get"))


@contextmanager
def no_sql(monkeypatch) -> Iterator[None]:
    """Every statement fails, and so does making a connection."""

    def refuse(*args, **kwargs):
        raise SqlWasRun(args[1] if len(args) > 1 else "connect")

    with connection.execute_wrapper(refuse), monkeypatch.context() as patched:
        patched.setattr(BaseDatabaseWrapper, "connect", refuse)
        yield


@pytest.fixture
def clients(store):
    ada = person("ada")
    add_line(add_order(ada), add_product(sku="A"))
    ImportJob.objects.create(format="csv", bytes=1, lines=1)
    found = {"owner": client_of(ada), "staff": client_of(person("sam", is_staff=True)), "nobody": client_of(None)}
    drain(store)
    return found


def test_every_query_route_has_a_sample():
    assert query_routes() == sorted(SAMPLES)


def test_no_query_hides_in_a_plain_view():
    plain = [pattern.callback for path, pattern in routes() if "api" in path and not hasattr(pattern.callback, "cls")]
    assert plain == [problems.not_found]


@pytest.mark.parametrize("route", sorted(SAMPLES))
@pytest.mark.parametrize("role", sorted(STATUSES))
def test_no_sql_is_run(clients, role, route, monkeypatch):
    with no_sql(monkeypatch):
        response = clients[role].get(SAMPLES[route], headers={"Accept": "*/*"})
        assert response.getvalue()  # streamed ones too
    assert response.status_code == STATUSES[role][route]


@pytest.mark.parametrize("role", sorted(STATUSES))
@pytest.mark.parametrize(
    "path",
    ["/api/orders/999", "/api/users/999", "/api/products/Z", "/api/orders?limit=x", "/api/orders?ids=x", "/api/nope"],
)
def test_no_sql_is_run_for_what_is_refused(clients, role, path, monkeypatch):
    with no_sql(monkeypatch):
        assert 400 <= clients[role].get(path).status_code < 500


def test_no_connection_is_needed(clients, monkeypatch):
    connection.close()
    with no_sql(monkeypatch):
        assert clients["owner"].get("/api/orders/1").status_code == 200
    assert connection.connection is None


def test_sql_would_be_noticed(clients, monkeypatch):
    with no_sql(monkeypatch), pytest.raises(SqlWasRun):
        clients["owner"].post("/api/orders", {})
