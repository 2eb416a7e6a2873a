"""The shortcut, in front of Django or inside, answers exactly as the views do, or leaves the answer to them."""

from dataclasses import dataclass, field
from io import BytesIO
from itertools import product
from unittest.mock import Mock

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from knox.models import AuthToken
from rest_framework.views import APIView

from orders.batch.models import ImportJob
from project import first_look, shortcut, wsgi
from project.env import Shortcut
from readmodels import connection, keys, limits
from readmodels.testing import drain
from tests.api import access_of, person
from tests.rows import add_line, add_order, add_product
from users.access import sign_out_everywhere
from users.commands import deactivate_user


@dataclass
class Both:
    """The same request, asked of the shortcut in front, of the one inside, and of views alone."""

    tokens: dict[str, str]
    passed_on: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.shortcut = shortcut.in_front_of(self._behind)

    def _behind(self, environ, start_response):
        self.passed_on.append(environ["PATH_INFO"])
        return wsgi.django(environ, start_response)

    def is_alike(self, path, **changed):
        """Whether both answer alike; True or False: whether the shortcut did itself."""
        self.passed_on.clear()
        front, inside = (_first_answer(asked, path, changed) for asked in (self.shortcut, wsgi.django))
        with override_settings(SHORTCUT=Shortcut.OFF):
            whole = _first_answer(wsgi.django, path, changed)
        for short in (front, inside):
            assert set(short[1]) ^ set(whole[1]) == set()
            assert short == whole
        return not self.passed_on


def _first_answer(application, path, changed):
    """The answer to whoever has not asked before: what is left of a limit is told in a header."""
    first_look.forget()
    for key in connection.limits().scan_iter(match=f"{keys.LIMITS}*"):
        connection.limits().delete(key)
    return _answer(application, path, changed)


def _answer(application, path, changed):
    path, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SCRIPT_NAME": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "testserver",
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        **changed,
    }
    told = []
    body = b"".join(application(environ, lambda status, headers, error=None: told.extend([status, sorted(headers)])))
    return *told, body


@pytest.fixture
def both(store):
    ada, bob = person("ada"), person("bob")
    order = add_order(ada)
    add_line(order, add_product(sku="MUG"))
    add_order(bob)
    add_order(None)
    ImportJob.objects.create(format="csv", bytes=1, lines=1)
    gone, left = person("gone"), person("left")
    users = {"ada": ada, "bob": bob, "support": person("sam", is_staff=True), "gone": gone, "left": left}
    tokens = {name: access_of(user) for name, user in users.items()}
    drain(store)
    found = Both(tokens)
    for name in tokens:  # each is known to hold before some of them end
        found.is_alike("/api/account", HTTP_AUTHORIZATION=f"Bearer {tokens[name]}")
    deactivate_user(user_id=gone.pk)
    sign_out_everywhere(digest=AuthToken.objects.get(user=left).digest)
    drain(store)
    return found


def bearer(both, name):
    return {"HTTP_AUTHORIZATION": f"Bearer {both.tokens[name]}"}


OWN = ["/api/orders/1", "/api/users/1"]


@pytest.mark.parametrize("path", [*OWN, "/api/products/MUG"])
def test_what_may_be_read_takes_the_shortcut(both, path):
    assert both.is_alike(path, **bearer(both, "ada"))


def test_support_takes_it_to_whatever_there_is(both):
    for path in [*OWN, "/api/orders/3", "/api/orders/import/1"]:
        assert both.is_alike(path, **bearer(both, "support"))


def test_inside_of_django_rest_framework_is_spared(both, monkeypatch):
    dispatched = Mock(side_effect=APIView.dispatch)
    monkeypatch.setattr(APIView, "dispatch", lambda *args, **kwargs: dispatched(*args, **kwargs))
    for way, count in ((Shortcut.DJANGO, 0), (Shortcut.OFF, 1)):
        with override_settings(SHORTCUT=way):
            _answer(wsgi.django, OWN[0], bearer(both, "ada"))
        assert dispatched.call_count == count


@pytest.mark.parametrize("way", [Shortcut.FRONT, Shortcut.DJANGO])
def test_limit_holds_whichever_way_is_taken(both, settings, way):
    settings.LIMITS = {**dict.fromkeys(settings.LIMITS), "queries-per-account": (3, 3600)}
    settings.SHORTCUT = way
    asked = both.shortcut if way is Shortcut.FRONT else wsgi.django
    statuses = [_first_answer(asked, OWN[0], bearer(both, "ada"))[0]]
    # What the shortcut leaves to the view counts once as well.
    statuses += [_answer(asked, path, bearer(both, "ada"))[0] for path in ("/api/orders/2", OWN[0], OWN[0])]
    assert [status[:3] for status in statuses] == ["200", "404", "200", "429"]


def test_who_asks_again_and_again_costs_redis_no_script(both, settings):
    """Each query is one of the limit all the same."""
    settings.LIMITS = {**dict.fromkeys(settings.LIMITS), "queries-per-account": (10_000, 24 * 3600)}

    def scripts() -> int:
        stats = connection.limits().info("commandstats")
        return stats.get("cmdstat_evalsha", {}).get("calls", 0)

    told = _first_answer(both.shortcut, OWN[0], bearer(both, "ada"))[1]
    before, left = scripts(), [_left(told)]
    for _ in range(200):
        told = _answer(both.shortcut, OWN[0], bearer(both, "ada"))[1]
        left.append(_left(told))
    assert scripts() - before < 20
    assert left == sorted(left, reverse=True)
    assert 9_799 <= left[-1] < 9_799 + limits.MOST_AHEAD


def _left(headers):
    return int(dict(headers)["RateLimit"].split("r=")[1].split(";")[0])


def test_anybody_takes_it_to_what_is_public(both):
    assert both.is_alike("/api/products/MUG")


@pytest.mark.parametrize("path", [*OWN, "/api/products/MUG"])
def test_who_has_it_already_is_told_so(both, path):
    told = _answer(both.shortcut, path, bearer(both, "ada"))
    etag = dict(told[1])["ETag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        assert both.is_alike(path, HTTP_IF_NONE_MATCH=known, **bearer(both, "ada"))
        assert (
            _answer(both.shortcut, path, {"HTTP_IF_NONE_MATCH": known, **bearer(both, "ada")})[0] == "304 Not Modified"
        )
    assert both.is_alike(path, HTTP_IF_NONE_MATCH='"x"', **bearer(both, "ada"))


def test_token_that_ended_takes_it_nowhere(both):
    for name, path in product(("gone", "left"), OWN):
        assert not both.is_alike(path, **bearer(both, name))


def test_what_is_anothers_is_answered_by_the_view(both):
    for path in OWN:
        assert not both.is_alike(path, **bearer(both, "bob"))


PATHS = [
    *OWN,
    "/api/orders/2",
    "/api/orders/3",
    "/api/orders/999",
    "/api/orders/99999999999999999999",
    "/api/orders/01",
    "/api/orders/\u00d9\u00a1",  # a digit of another script, as WSGI has its bytes
    "/api/orders/x",
    "/api/orders/",
    "/api/orders/1/",
    "/api/orders/1/pay",
    "/api/orders/1/events",
    "/api/orders/import/1",
    "/api/orders/1?fields=id",
    "/api/orders/1?x=1",
    "/api/users/2",
    "/api/users/1/orders",
    "/api/products/MUG",
    "/api/products/NO",
    "/api/products/M\u00c3\u00bcG",
    "/api/products/a b",
    "/api/account",
    "/api/nowhere/1",
    "/health/live",
    "/static/none.js",
    "/",
]
WHO = ["", "ada", "bob", "support", "gone", "left", "Bearer no", "Bearer \u00e9", "bearer", "Basic YTpi"]
ASKED = {
    "REQUEST_METHOD": ["GET", "GET", "GET", "HEAD", "OPTIONS", "DELETE"],
    "HTTP_ACCEPT": [None, "*/*", "application/json", "text/html", "text/html, */*;q=0.1", "", "x"],
    "HTTP_IF_NONE_MATCH": [None, "*", '"x"', "x", 'W/"1.1", "'],
    "HTTP_CONSISTENCY_TOKEN": [None, None, "", "garbage"],
    "HTTP_CACHE_CONTROL": [None, None, "no-cache", "max-stale=5", "max-stale=x"],
    "HTTP_PREFER": [None, None, "wait=1", "on-timeout=stale"],
    "HTTP_HOST": ["testserver", "testserver:80", "elsewhere.example", "", "a/b", "[::1]"],
    "HTTP_X_FORWARDED_FOR": [None, "198.51.100.7, 10.0.0.1", "x"],
    "HTTP_X_FORWARDED_PROTO": [None, "https", "http"],
    "REMOTE_ADDR": ["127.0.0.1", "10.0.0.1", "", "::1"],
    "HTTP_COOKIE": [None, None, f"sessionid=x; csrftoken={'y' * 32}"],
    "wsgi.url_scheme": ["http", "https"],
    "SCRIPT_NAME": ["", "", "", "/below"],
}


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(PATHS),
    st.sampled_from(WHO),
    st.fixed_dictionaries({k: st.sampled_from(v) for k, v in ASKED.items()}),
)
def test_whatever_is_asked_both_answer_alike(both, path, who, asked):
    if who:
        asked["HTTP_AUTHORIZATION"] = f"Bearer {both.tokens[who]}" if who in both.tokens else who
    both.is_alike(path, **{name: value for name, value in asked.items() if value is not None})
