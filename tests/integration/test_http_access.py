"""Logging in and out, and what a token opens, on the query side and on the command side."""

from datetime import timedelta

import pytest
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.test import APIClient

from readmodels import deadletters
from readmodels.deadletters import Failure
from readmodels.testing import drain
from tests.api import PASSWORD, body, client_of, fields, person
from tests.unreachable import no_redis
from users import command_views

CREDENTIALS = {"email": "ada@example.com", "password": PASSWORD}


@pytest.fixture
def ada(store):
    return person("ada")


def log_in(client=None):
    return (client or APIClient()).post("/api/auth/login", CREDENTIALS)


def with_token(token):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def test_token_of_a_log_in_opens_queries_at_once(ada, projecting):
    response = log_in()
    assert (response.status_code, response["Cache-Control"]) == (200, "no-store")
    assert with_token(body(response)["token"]).get(f"/api/users/{ada.pk}").status_code == 200


def test_log_in_carries_no_old_token_over(ada, projecting):
    assert log_in(with_token("long-gone")).status_code == 200


@pytest.mark.parametrize("wrong", [{"password": "wrong-horse"}, {"email": "eve@example.com"}])
def test_wrong_credentials_are_refused_alike(ada, wrong):
    response = APIClient().post("/api/auth/login", {**CREDENTIALS, **wrong})
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert body(response)["detail"] == "E-mail or password is wrong."


def test_deactivated_user_can_not_log_in(ada):
    ada.is_active = False
    ada.save()
    assert log_in().status_code == 401


@pytest.mark.parametrize("sent", [{}, {"email": "ada@example.com"}, {**CREDENTIALS, "password": "x" * 129}])
def test_log_in_names_what_is_missing(ada, sent):
    assert "password" in fields(APIClient().post("/api/auth/login", sent))


def test_token_that_can_not_be_used_in_time_is_taken_back(ada, monkeypatch):
    monkeypatch.setattr(command_views, "LOG_IN_WAIT_SECONDS", 0.05)
    response = log_in()
    assert (response.status_code, response["Retry-After"]) == (503, "1")
    assert not AuthToken.objects.exists()


def test_log_in_without_redis_leaves_no_token(ada, monkeypatch):
    no_redis(monkeypatch)
    assert log_in().status_code == 503
    assert not AuthToken.objects.exists()


def test_log_out_ends_this_token_on_both_sides(ada, store):
    here, elsewhere = client_of(ada), client_of(ada)
    drain(store)
    assert here.post("/api/auth/logout").status_code == 204
    drain(store)
    assert here.get(f"/api/users/{ada.pk}").status_code == 401
    assert here.post("/api/auth/logout").status_code == 401
    assert elsewhere.get(f"/api/users/{ada.pk}").status_code == 200


def test_log_out_everywhere_ends_all_of_ones_own(ada, store):
    clients, bob = [client_of(ada), client_of(ada)], client_of(person("bob"))
    response = clients[0].post("/api/auth/logout-all")
    assert (response.status_code, response.content) == (204, b"")
    drain(store)
    assert {client.get(f"/api/users/{ada.pk}").status_code for client in clients} == {401}
    assert bob.post("/api/auth/logout").status_code == 204


def test_deactivation_ends_access_to_queries(ada, store):
    client = client_of(ada)
    client_of(person("sam", is_staff=True)).post(f"/api/users/{ada.pk}/deactivate")
    drain(store)
    assert client.get(f"/api/users/{ada.pk}").status_code == 401


def test_grant_whose_newest_state_is_parked_opens_nothing(ada, store):
    client, digest = client_of(ada), AuthToken.objects.get(user=ada).digest
    drain(store)
    assert client.get(f"/api/users/{ada.pk}").status_code == 200
    deadletters.park([Failure("AccessGrant", 1, "knox_authtoken", digest, None, [1], "it failed", "")], attempts=5)
    drain(store)
    assert client.get(f"/api/users/{ada.pk}").status_code == 503


def test_deactivation_behind_the_commands_back_ends_access_too(ada, store):
    client = client_of(ada)
    type(ada).objects.update(is_active=False)
    drain(store)
    assert client.get(f"/api/users/{ada.pk}").status_code == 401
    assert client.post("/api/orders", {}).status_code == 401


def test_expired_token_opens_nothing(ada, store):
    client = client_of(ada)
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    drain(store)
    assert client.get(f"/api/users/{ada.pk}").status_code == 401
    assert client.post("/api/orders", {}).status_code == 401


def test_new_role_is_had_as_soon_as_it_is_projected(ada, store):
    client = client_of(ada)
    type(ada).objects.update(is_staff=True, is_support=True)
    drain(store)
    assert client.get("/api/orders?status=paid").status_code == 200


@pytest.mark.parametrize("method", ["get", "patch"])
@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Bearer \xff",
        "Bearer \x00",
        "bearer " + "x" * 5000,
        "Basic YTpi",
        "x",
        "Bearer ü",
    ],
)
def test_headers_that_are_no_token_are_401(ada, method, header):
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=header)
    response = getattr(client, method)(f"/api/users/{ada.pk}")
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
