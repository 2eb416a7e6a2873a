"""The query service as a real process: on the tests' Redis and on no database, it answers queries as the API does."""

import os
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from rest_framework.test import APIClient

from orders.batch.models import ImportJob
from project import child, env, query_urls
from project.site import api_command
from readmodels.query_view import QueryView
from readmodels.testing import drain
from tests.api import access_of, person
from tests.live import free_port
from tests.routes import api_routes
from tests.rows import add_line, add_order, add_product

START_SECONDS = 60
# Of the request, of the process, or of what shares an address with the query.
OWN_HEADERS = {"date", "ratelimit", "content-length", "transfer-encoding", "server", "allow", "vary"}


@pytest.fixture(scope="module")
def service(servers, tmp_path_factory) -> Iterator[str]:
    """Its URL."""
    port, log = free_port(), tmp_path_factory.mktemp("queries") / "queries.log"
    environ = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project.query_settings",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    process = child.spawn(api_command("127.0.0.1", port, 1), log=log, environ=environ, folder=env.ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        assert child.wait_until(lambda: is_answering(url), START_SECONDS), log.read_text()
        yield url
    finally:
        child.stop([process], 10)


def is_answering(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/health/live").status_code == 200
    return False


@pytest.fixture
def tokens(store) -> dict[str, str]:
    ada = person("ada")
    add_line(add_order(ada), add_product(sku="MUG"))
    add_order(person("bob"))
    ImportJob.objects.create(format="csv", bytes=1, lines=1)
    found = {"ada": access_of(ada), "support": access_of(person("sam", is_staff=True))}
    drain(store)
    return found


PATHS = [
    "/api/account",
    "/api/users/1",
    "/api/users/2",
    "/api/users/1/orders?status=placed&limit=1",
    "/api/users/1/orders/summary",
    "/api/orders?status=placed",
    "/api/orders?ids=1,2",
    "/api/orders/1",
    "/api/orders/1?fields=id,status",
    "/api/orders/2",
    "/api/orders/99",
    "/api/orders/import/1",
    "/api/orders/export",
    "/api/products",
    "/api/products/MUG",
    "/api/sales?from=2026-01-01&to=2026-12-31",
    "/api/sales",
    "/api/nothing",
]


@pytest.mark.parametrize("who", ["ada", "support", None])
def test_queries_are_answered_as_by_the_api(service, tokens, who):
    header = {"Authorization": f"Bearer {tokens[who]}"} if who else {}
    for path in PATHS:
        here = httpx.get(f"{service}{path}", headers=header)
        there = APIClient().get(path, headers=header)
        body = b"".join(there.streaming_content) if there.streaming else there.content
        assert (here.status_code, here.content) == (there.status_code, body), path
        assert told(here.headers) == told(there.headers), path


def told(headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items() if name.lower() not in OWN_HEADERS}


def test_what_the_asker_has_is_not_sent_again(service, tokens):
    header = {"Authorization": f"Bearer {tokens['ada']}"}
    etag = httpx.get(f"{service}/api/orders/1", headers=header).headers["ETag"]
    again = httpx.get(f"{service}/api/orders/1", headers={**header, "If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/api/orders", 405),
        ("PATCH", "/api/users/1", 405),
        ("DELETE", "/api/products/MUG", 405),
        ("POST", "/api/orders/1/pay", 404),
        ("POST", "/api/auth/login", 404),
        ("GET", "/admin/", 404),
    ],
)
def test_there_are_no_commands_and_no_pages(service, tokens, method, path, status):
    answer = httpx.request(method, f"{service}{path}", headers={"Authorization": f"Bearer {tokens['support']}"})
    assert answer.status_code == status
    if status == 405:
        assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"
        assert answer.json()["status"] == 405


def test_it_is_ready_without_a_database(service, tokens):
    answer = httpx.get(f"{service}/health/ready")
    assert answer.json() == {"status": "ready", "parts": {"read_models": "ok", "eviction_policy": "ok"}}


def test_every_query_of_the_api_is_there():
    asked = {route for route, view in api_routes().items() if issubclass(view, QueryView)}
    assert asked == {f"api/{pattern.pattern}" for pattern in query_urls.urlpatterns[0].url_patterns}
