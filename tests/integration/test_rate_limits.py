"""How often the API may be asked, per account and per address, however many ask at once."""

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from readmodels import connection, keys, limits, query
from readmodels.limits import Limit
from readmodels.store import Store
from readmodels.testing import drain
from tests.api import body, client_of, person
from tests.threads import at_once
from tests.unreachable import no_redis

HOUR = 3600


@pytest.fixture
def allow(store, settings):
    """Call it with limits by name; the others allow everything."""
    for key in connection.limits().scan_iter(match=f"{keys.LIMITS}*"):
        connection.limits().delete(key)

    def configure(**most):
        given = {name.replace("_", "-"): (number, HOUR) for name, number in most.items()}
        settings.LIMITS = {**dict.fromkeys(settings.LIMITS), **given}

    return configure


def statuses(responses):
    return sorted({response.status_code for response in responses})


def left(response):
    """What is left, by limit."""
    return {each.split('"')[1]: int(each.split("r=")[1].split(";")[0]) for each in response["RateLimit"].split(", ")}


def test_of_100_at_once_exactly_those_allowed_pass(allow):
    allow(queries_per_address=10)
    answers = at_once(*[lambda: APIClient().get("/api").status_code] * 100)
    assert (answers.count(200), answers.count(429)) == (10, 90)


def test_limits_give_all_or_none(store, allow):
    scarce, ample = Limit("scarce", "a", 2, HOUR), Limit("ample", "a", 50, HOUR)
    answers = at_once(*[lambda: store.take([ample, scarce])] * 20)
    assert sum(answer.is_taken for answer in answers) == 2
    assert store.take([ample]).state.startswith('"ample";r=47;t=')


@given(most=st.integers(1, 400), wanted=st.lists(st.integers(1, 50), min_size=1, max_size=60))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_more_is_taken_ahead_than_a_sixteenth_of_what_is_left(store, most, wanted):
    limit = Limit("ahead", uuid4().hex, most, HOUR * 24 * 365)  # so that none comes back meanwhile
    left = most
    for count in wanted:
        [[taken, *_]] = store.run([limits.take_call([limit], count)])
        assert taken == min(left, count, max(1, left // 16))
        left -= taken


def burst(allowance, store, limit):
    """One request of an asker."""
    taken = allowance.use()
    if taken is None:
        held = limits.Limits([limit])
        taken = allowance.keep(held, store.run([limits.take_call(held, allowance.wanted)])[0])
    return taken


def test_what_is_taken_ahead_is_counted_as_if_it_were_not(store):
    """A process tells what was left a moment ago; of several, all together pass as often as is allowed."""
    limit = Limit("burst", uuid4().hex, 500, HOUR * 24 * 365)
    alone, *others = processes = [limits.Allowance(clock=lambda: 0.0) for _ in range(4)]
    told = [int(burst(alone, store, limit).state.split("r=")[1].split(";")[0]) for _ in range(200)]
    used = [said - left for left, said in zip(range(499, 299, -1), told, strict=True)]
    assert (used[0], min(used), max(used) < limits.MOST_AHEAD) == (0, 0, True)
    passed = sum(burst(one, store, limit).is_taken for _ in range(500) for one in others)
    assert 300 - 32 <= passed < 300
    assert passed + sum(burst(one, store, limit).is_taken for _ in range(50) for one in processes) == 300


def test_threads_lose_nothing_of_what_each_takes_ahead(store):
    limit = Limit("threads", uuid4().hex, 5_000, HOUR * 24 * 365)
    allowance = limits.Allowance(clock=lambda: 0.0)
    at_once(*[lambda: [burst(allowance, Store(), limit) for _ in range(100)]] * 8)
    unused = 0
    while allowance.use():
        unused += 1
    assert store.take([limit]).state.startswith(f'"threads";r={5_000 - 800 - unused - 1};')


def test_what_is_not_used_soon_is_lost_and_the_next_takes_one(store):
    now = [0.0]
    allowance = limits.Allowance(clock=lambda: now[0])
    limit = Limit("late", uuid4().hex, 10_000, HOUR)
    for _ in range(4):  # one, two, and the first of four
        burst(allowance, store, limit)
    assert allowance.use() is not None
    now[0] += limits.AHEAD_SECONDS
    assert (allowance.use(), allowance.wanted) == (None, 1)


def test_limits_cost_the_file_of_redis_nothing(store, allow):
    def written():
        return connection.limits().info("persistence")["aof_current_size"]

    limit = Limit("some", "a", 10, HOUR)

    def use():
        for _ in range(5):
            store.take([limit])
        store.return_to([limit])

    use()  # a script is written down when it is loaded
    before = written()
    use()
    assert written() == before
    connection.limits().set("something", "else")
    assert written() > before


def test_refused_request_says_when_to_come_back(allow):
    allow(queries_per_address=1)
    passed, refused = APIClient().get("/api"), APIClient().get("/api")
    assert (refused.status_code, body(refused)["code"]) == (429, "too_many_requests")
    assert HOUR - 60 <= int(refused["Retry-After"]) <= HOUR
    for response in (passed, refused):
        assert response["RateLimit-Policy"] == f'"queries-per-address";q=1;w={HOUR}'
        assert left(response) == {"queries-per-address": 0}


def test_refused_command_changes_nothing(allow):
    allow(commands_per_account=1)
    ada = person("ada")
    first, second = (client_of(ada).patch(f"/api/users/{ada.pk}", {"name": name}) for name in ("Countess", "Nobody"))
    assert (first.status_code, second.status_code) == (200, 429)
    ada.refresh_from_db()
    assert ada.name == "Countess"


def test_account_is_limited_over_all_its_addresses_and_tokens(store, allow):
    allow(queries_per_account=2, queries_per_address=100)
    ada, eve = person("ada"), person("eve")
    clients = [client_of(ada), client_of(ada), client_of(ada), client_of(eve)]
    drain(store)
    asked = [client.get("/api/users/1", REMOTE_ADDR=f"192.0.2.{n}") for n, client in enumerate(clients)]
    assert [response.status_code for response in asked] == [200, 200, 429, 404]
    assert left(asked[0]) == {"queries-per-account": 1, "queries-per-address": 99}


def test_queries_and_commands_are_counted_apart(allow):
    allow(queries_per_address=1, commands_per_address=5)
    assert statuses([APIClient().get("/api")]) == [200]
    refused = APIClient().post("/api/auth/login", {"email": "ada@example.com", "password": "wrong"})
    assert (refused.status_code, left(refused)) == (401, {"commands-per-address": 4})


@pytest.mark.parametrize("path", ["/api/nowhere", "/api/users/1", "/api/schema", "/api/docs"])
def test_whatever_is_answered_under_the_api_counts(allow, path):
    """Also an unknown route, and a token that is none: or tokens could be tried without end."""
    allow(queries_per_address=2)
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION="Bearer made-up" if path.endswith("/1") else "")
    answers = [client.get(path) for _ in range(3)]
    assert [response.status_code == 429 for response in answers] == [False, False, True]
    assert all("RateLimit" in response for response in answers)


def test_probes_and_pages_elsewhere_are_not_counted(allow):
    allow(queries_per_address=1)
    assert statuses(APIClient().get("/health/live") for _ in range(3)) == [200]
    assert statuses(APIClient().get("/admin/login/") for _ in range(3)) == [200]


def test_none_is_no_limit(allow):
    allow()
    response = APIClient().get("/api")
    assert (response.status_code, "RateLimit" in response) == (200, False)


def test_limits_expire(allow):
    allow(queries_per_account=5, queries_per_address=5)
    client_of(person("ada")).get("/api/users/1")
    APIClient().get("/api", REMOTE_ADDR="2001:db8::1")
    client = connection.limits()
    kept = list(client.scan_iter(match="rl:*"))
    assert kept
    assert all(0 < client.pttl(key) <= HOUR * 1000 for key in kept)


def test_commands_go_on_where_limits_can_not_be_kept(allow, monkeypatch):
    allow(commands_per_account=1, commands_per_address=1)
    ada = person("ada")
    client = client_of(ada)
    with monkeypatch.context() as patched:
        no_redis(patched)
        answers = [client.patch(f"/api/users/{ada.pk}", {"name": f"Ada {n}"}) for n in range(3)]
        assert statuses(answers) == [200]
        assert client.get(f"/api/users/{ada.pk}").status_code == 503
    limits.patience.renew()
    query.reader.cache_clear()


def test_a_redis_that_does_not_answer_is_left_alone_for_a_while():
    asked, now = [], [0.0]

    def fail():
        asked.append(now[0])
        raise limits.ReadModelError("away")

    patience = limits.Patience(clock=lambda: now[0])
    for now[0] in (0.0, 1.0, 4.9, 5.1):
        assert patience.ask(fail) is None
    assert asked == [0.0, 5.1]
