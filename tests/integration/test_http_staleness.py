"""What a client may ask of an answer's freshness over the API, and what it is told."""

import pytest
from django.db import connection

from orders.models import Order, Product
from readmodels import consistency, projector
from readmodels.consistency import Token
from readmodels.testing import drain
from tests.api import body, client_of, fields, person
from tests.progress import say
from tests.rows import add_order, add_product
from tests.unreachable import no_redis
from users.models import User

PRODUCT = "/api/products/A"


@pytest.fixture
def client(store):
    """Somebody who is not signed in, and one product, projected."""
    add_product(sku="A", stock=5)
    drain(store)
    return client_of(None)


def pending(stock=4):
    """The token of a write to the product that nobody projects."""
    with consistency.recorded() as recorded:
        Product.objects.update(stock=stock)
    return recorded.token


def get(client, url=PRODUCT, **headers):
    return client.get(url, headers={name.replace("_", "-"): str(value) for name, value in headers.items()})


def code(response):
    return response.status_code, body(response).get("code")


def is_stale(response):
    return response.headers.get("Read-Model-Stale") == "true"


# Several tokens


def test_answer_includes_all_tokens_or_none_is_given(client, store):
    first = pending(stock=7)
    drain(store)
    both = f"{first}, ,{pending()},"
    assert get(client, Consistency_Token=first).status_code == 200
    assert code(get(client, Consistency_Token=both, Prefer="wait=0")) == (503, "not_yet")
    drain(store)
    assert body(get(client, Consistency_Token=both))["stock"] == 4


@pytest.mark.parametrize("text", [",", "{token},x", "x, {token}", "{token} {token}", "{token};q=1"])
def test_garbage_among_tokens_is_refused(client, store, text):
    response = get(client, Consistency_Token=text.format(token=Token(1, 5)))
    assert (response.status_code, fields(response)) == (400, ["Consistency-Token"])


def test_twenty_tokens_are_accepted_and_no_more(client, store):
    tokens = [str(Token(store.epoch(), 5))] * 21
    assert get(client, Consistency_Token=",".join(tokens[:20])).status_code == 200
    response = get(client, Consistency_Token=",".join(tokens))
    assert (response.status_code, fields(response)) == (400, ["Consistency-Token"])
    assert "At most 20" in body(response)["fields"][0]["detail"]


def test_command_that_changes_nothing_hands_back_all_tokens(store):
    ada = client_of(person("ada"))
    carried = f"{Token(1, 5)}, {Token(1, 6)}"
    same = {"name": User.objects.get().name}
    assert ada.patch("/api/users/1", same, headers={"Consistency-Token": carried})["Consistency-Token"] == carried


# As it is


def test_stale_answer_is_marked_and_says_what_was_applied(client, store):
    response = get(client, Consistency_Token=pending(), Prefer="wait=0, on-timeout=stale")
    assert body(response)["stock"] == 5
    assert is_stale(response)
    assert response["Preference-Applied"] == "wait=0, on-timeout=stale"


def test_answer_that_lacks_nothing_is_not_marked(client, store):
    token = pending()
    drain(store)
    response = get(client, Consistency_Token=token, Prefer='ON-TIMEOUT="stale"')
    assert body(response)["stock"] == 4
    assert "Read-Model-Stale" not in response
    assert response["Preference-Applied"] == "on-timeout=stale"


@pytest.mark.parametrize(
    "prefer",
    [
        "wait=0",
        "wait=0, on-timeout=fail",
        "wait=0, on-timeout=maybe",
        "wait=0, on-timeout",
        "wait=0, on-timeout=fail, on-timeout=stale",
        'x="a, on-timeout=stale", wait=0',
    ],
)
def test_nothing_else_gets_a_stale_answer(client, prefer):
    response = get(client, Consistency_Token=pending(), Prefer=prefer)
    assert code(response) == (503, "not_yet")
    assert response["Retry-After"] == "1"


def test_stale_answer_is_kept_by_nobody_else(client, store):
    assert get(client)["Cache-Control"] == "public, max-age=5"
    stale = get(client, Consistency_Token=pending(), Prefer="wait=0, on-timeout=stale")
    assert stale["Cache-Control"] == "no-store"


def test_304_is_marked_too(client, store):
    etag = get(client)["ETag"]
    response = get(client, Consistency_Token=pending(), Prefer="wait=0, on-timeout=stale", If_None_Match=etag)
    assert (response.status_code, is_stale(response)) == (304, True)


def test_token_of_another_timeline_gets_a_stale_answer_if_that_is_fine(client, store):
    token = pending()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE readmodels_clock SET server = 'another/00000001/1'")
    drain(store)
    assert code(get(client, Consistency_Token=token)) == (503, "cannot_say")
    assert is_stale(get(client, Consistency_Token=token, Prefer="on-timeout=stale"))


def test_redis_away_is_no_stale_answer(client, monkeypatch):
    no_redis(monkeypatch)
    assert code(get(client, Prefer="on-timeout=stale")) == (503, "read_models_unavailable")


def test_bucket_being_filled_is_no_stale_answer(client, store):
    store.begin_buckets(dict.fromkeys(range(256), "another"))
    assert code(get(client, Prefer="on-timeout=stale")) == (503, "read_models_unavailable")


# Bounded staleness


@pytest.mark.parametrize("url", [PRODUCT, "/api/products/none"])
def test_too_stale_an_answer_is_refused(client, store, url):
    drain_happened_long_ago(store)
    response = get(client, url, Cache_Control="max-stale=60", Prefer="wait=0")
    assert code(response) == (503, "too_stale")
    assert response["Retry-After"] == "1"


def drain_happened_long_ago(store):
    """The document was built, and progress told, two minutes ago."""
    drain(store)
    name = next(key for key in store._client.scan_iter(match="rm:*:ProductCard:*"))
    version, at_ms, rest = store._client.get(name).split(b" ", 2)
    store._client.set(name, b" ".join((version, b"%d" % (int(at_ms) - 120_000), rest)))
    say(store, seconds_ago=120)


@pytest.mark.parametrize("asked", ["max-stale=999.5", "max-stale", 'no-cache, Max-Stale="9999"', "max-age=0", "", "9"])
def test_answer_within_the_bound_is_given(client, store, asked):
    drain_happened_long_ago(store)
    response = get(client, Cache_Control=asked, Prefer="wait=0")
    assert (response.status_code, is_stale(response)) == (200, False)


def test_too_stale_an_answer_is_marked_if_that_is_fine(client, store):
    drain_happened_long_ago(store)
    response = get(client, Cache_Control="max-stale=60", Prefer="on-timeout=stale, wait=0.1")
    assert (response.status_code, is_stale(response)) == (200, True)
    assert response["Preference-Applied"] == "wait=0.1, on-timeout=stale"


def test_answer_of_bounded_staleness_grows_no_older_in_a_shared_store(client):
    response = get(client, Cache_Control="max-stale=60")
    assert response["Cache-Control"] == "no-store"
    assert "Cache-Control" in get(client)["Vary"]


@pytest.mark.parametrize(
    "asked",
    ["max-stale=abc", "max-stale=-1", "max-stale=", "max-stale=1e3", "max-stale=1.", "max-stale=٣", "max-stale=1 2"],
)
def test_malformed_bound_is_refused_with_what_is_accepted(client, asked):
    response = get(client, Cache_Control=asked)
    assert (response.status_code, fields(response)) == (400, ["Cache-Control"])
    assert "max-stale alone, or with seconds such as 5 or 0.5" in body(response)["fields"][0]["detail"]


# Parked documents


def test_parked_document_is_marked(client, store):
    add_order(None)
    say(store, parked={"ProductCard": None})
    response = get(client)
    assert (response.status_code, is_stale(response), response["Cache-Control"]) == (200, True, "no-store")


def test_parked_document_that_was_never_built_is_not_said_to_be_absent(client, store):
    say(store, parked={"ProductCard": None})
    response = get(client, "/api/products/none", Prefer="on-timeout=stale")
    assert code(response) == (503, "not_built")
    assert response["Retry-After"] == "1"


def test_pages_beside_something_parked_are_marked(store):
    staff = client_of(person("sam", is_staff=True))
    drain(store)
    say(store, parked={"OrdersByStatus": ["7"], "SalesByDay": ["7"]})
    assert is_stale(staff.get("/api/orders?status=placed"))
    assert is_stale(staff.get("/api/sales?from=2026-03-01&to=2026-03-02"))


# Nobody reads what is not theirs


def test_foreign_and_absent_are_answered_alike_while_a_write_is_on_its_way(store):
    bob = client_of(person("bob"))
    add_order(None)
    drain(store)
    with consistency.recorded() as recorded:
        Order.objects.update(status="paid")
    projector.write(store, projector.read(store, range(8)))
    found = [
        get(bob, f"/api/orders/{number}", Consistency_Token=recorded.token, Prefer="wait=0") for number in (1, 999)
    ]
    assert [code(response) for response in found] == [(503, "not_yet")] * 2


# The document


def test_api_document_names_the_headers(store):
    paths = body(client_of(None).get("/api/schema"))["paths"]
    for path in ("/api/products/{sku}", "/api/orders", "/api/sales"):
        operation = paths[path]["get"]
        described = {each["name"]: each["description"] for each in operation["parameters"] if each["in"] == "header"}
        assert "at most 20" in described["Consistency-Token"]
        assert "max-stale=<seconds>" in described["Cache-Control"]
        assert "on-timeout=stale" in described["Prefer"]
        assert not operation["responses"]["200"]["headers"]["Read-Model-Stale"].get("required")
        assert "Read-Model-Stale" in operation["responses"]["304"]["headers"]
