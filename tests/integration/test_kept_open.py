"""What a thread keeps open is looked after with each request that may have used it, and with no other."""

import threading
from io import BytesIO

import pytest
from django.core.signals import request_finished, request_started
from django.db import connection

from project import kept_open, wsgi


@pytest.fixture(autouse=True)
def as_in_a_server(monkeypatch):
    """Django's test client has put its own receivers back since `project.wsgi` was loaded."""
    for signal in (request_started, request_finished):
        monkeypatch.setattr(signal, "receivers", [*signal.receivers])
    kept_open.look_after_where_used()


def ask(method: str, path: str) -> None:
    """By the handler that a server calls, not by Django's test client, which goes without all of this."""
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "HTTP_HOST": "testserver",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
    }
    answer = wsgi.django(environ, lambda status, headers, error=None: None)
    list(answer)
    answer.close()


def kept_after(method: str, path: str) -> bool:
    """Whether a thread's connection that has outlived its time is still open after its request."""
    found = []

    def run() -> None:
        connection.ensure_connection()
        connection.close_at = 0
        ask(method, path)
        found.append(connection.connection is not None)
        connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("path", ["/api/orders/1", "/api", "/api/nowhere"])
def test_query_leaves_connections_alone(store, path):
    assert kept_after("GET", path)


@pytest.mark.parametrize("asked", ["POST /api/orders", "GET /admin/login/", "GET /health/live", "GET /apiary"])
def test_whatever_else_has_them_looked_after(store, asked):
    assert not kept_after(*asked.split())
