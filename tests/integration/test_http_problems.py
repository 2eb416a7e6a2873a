"""Whatever is wrong with a request has a problem of its own; and whether the service can serve at all."""

import json

import pytest
from django.test import Client
from rest_framework.test import APIClient

from readmodels import connection
from tests.api import PASSWORD, body, client_of, person
from tests.unreachable import no_postgresql, no_redis


@pytest.fixture
def client(store):
    return APIClient()


def register(client, content, content_type="application/json"):
    return client.generic("POST", "/api/users", content, content_type=content_type)


@pytest.mark.parametrize(
    "path", ["/api//", "/api/nope", "/api/orders/", "/api/orders/x", "/api/nope%0A", "/api/users/1/"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_unknown_routes_are_problems(client, path, method, settings):
    settings.DEBUG = True
    response = getattr(client, method)(path)
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


def test_unknown_routes_are_problems_to_clients_without_cookies_too(store):
    response = Client(enforce_csrf_checks=True).post("/api/nope")
    assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_root_of_the_api_names_its_routes(client, path):
    routes = body(client.get(path))["routes"]
    assert routes["/api/orders"] == ["GET", "POST"]
    assert set(body(client.get("/api/schema"))["paths"]) <= set(routes)


@pytest.mark.parametrize("path", ["/api", "/api/"])
def test_root_of_the_api_takes_no_writes(client, path):
    response = client_of(person("ada")).post(path)
    assert (response.status_code, response["Content-Type"]) == (405, "application/problem+json")


def test_root_of_the_api_refuses_hosts_as_problems_too(store, settings):
    settings.DEBUG, settings.ALLOWED_HOSTS = False, ["example.com"]
    assert Client().get("/api")["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("path", "page"), [("/", "/api/docs"), ("/admin", "/admin/")])
def test_short_addresses_lead_to_pages(client, path, page):
    response = client.get(path)
    assert (response.status_code, response["Location"]) == (302, page)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "BREW"])
def test_method_not_allowed_names_those_that_are(client, method):
    response = client_of(person("ada")).generic(method, "/api/users")
    assert (response.status_code, response["Content-Type"]) == (405, "application/problem+json")
    assert response["Allow"] == "POST, OPTIONS"


def test_methods_of_an_address_can_be_asked_for(client):
    response = client.options("/api/orders")
    assert (response.status_code, response["Allow"]) == (204, "GET, POST, HEAD, OPTIONS")


def test_other_media_types_are_not_answered(client):
    response = client.get("/api/products/A", headers={"Accept": "text/html"})
    assert (response.status_code, response["Content-Type"]) == (406, "application/problem+json")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x"]
)
def test_other_media_types_are_not_taken(client, content_type):
    response = register(client, "email=ada@example.com", content_type)
    assert (response.status_code, body(response)["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe",
        '{"name": "Ada"}'.encode("utf-16"),
        b'{"name": "a", "name": "b"}',
        b'{"name": NaN}',
        b'{"name": 1e999}',
        b'{"name": "\\u0000"}',
        b'{"\\u0000": 1}',
        b'{"name": "\\ud800"}',
        b"[" * 33 + b"]" * 33,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"name": ' + b"9" * 5000 + b"}",
        b'\xef\xbb\xbf{"name": "Ada"}',
        b'{"name": "raw \x01 control"}',
    ],
)
def test_what_is_no_plain_json_is_400(client, content):
    response = register(client, content)
    assert (response.status_code, body(response)["code"]) == (400, "parse_error"), response.content


def test_long_bodies_are_413(client):
    response = register(client, json.dumps({"name": "x" * 2**20}))
    assert (response.status_code, body(response)["code"]) == (413, "too_large")


def test_problems_are_never_kept(client):
    assert client.get("/api/orders/1")["Cache-Control"] == "no-store"


def test_unforeseen_errors_say_nothing_of_the_inside(store, monkeypatch, settings):
    settings.DEBUG = False
    monkeypatch.setattr("users.command_views.register_user", lambda **fields: 1 / 0)
    client = Client(raise_request_exception=False)
    sent = {"email": "ada@example.com", "name": "Ada", "password": PASSWORD}
    response = client.post("/api/users", sent, content_type="application/json")
    assert (response.status_code, response["Content-Type"]) == (500, "application/problem+json")
    assert "division" not in response.content.decode()


def test_refused_hosts_are_problems_too(store, settings):
    settings.DEBUG, settings.ALLOWED_HOSTS = False, ["example.com"]
    response = Client().get("/api/products/A")
    assert (response.status_code, body(response)["code"]) == (400, "bad_request")


def test_api_page_needs_no_other_server(client):
    page = client.get("/api/docs", headers={"Accept": "text/html"}).content.decode()
    assert "swagger-ui-bundle.js" in page
    assert "//" not in page.replace("// ", "").replace("http://www.w3.org", "")


# Health


def test_process_is_live_with_both_servers_away(client, monkeypatch):
    no_redis(monkeypatch)
    no_postgresql(monkeypatch)
    assert client.get("/health/live").status_code == 200


def test_service_is_ready_with_all_parts(client):
    response = client.get("/health/ready")
    assert (response.status_code, set(body(response)["parts"].values())) == (200, {"ok"})


def test_redis_away_is_not_ready(client, monkeypatch):
    no_redis(monkeypatch)
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert body(response)["parts"] == {
        "postgresql": "ok",
        "read_models": "does not answer",
        "eviction_policy": "does not answer",
    }


def test_database_away_is_not_ready(client, monkeypatch):
    no_postgresql(monkeypatch)
    assert body(client.get("/health/ready"))["parts"]["postgresql"] == "does not answer"


def test_lost_buckets_are_not_ready(client):
    connection.read_models().flushdb()
    assert "256 of 256 buckets" in body(client.get("/health/ready"))["parts"]["read_models"]


def test_redis_that_may_evict_is_not_ready(client):
    connection.read_models().config_set("maxmemory-policy", "allkeys-lru")
    try:
        assert "noeviction" in body(client.get("/health/ready"))["parts"]["eviction_policy"]
    finally:
        connection.read_models().config_set("maxmemory-policy", "noeviction")
