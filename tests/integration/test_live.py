"""Live updates as a client meets them: a process of its own, on the real Redis, with a projector at work beside."""

from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from knox.models import AuthToken
from rest_framework.test import APIClient

from orders.commands import cancel_order, pay_order, place_order
from orders.models import Order
from project.child import wait_until
from readmodels import outbox
from tests.api import person
from tests.live import WAIT_SECONDS, LiveProcess, token_of
from tests.pairs import assert_as_long
from tests.rows import add_product
from users.access import sign_out_everywhere
from users.commands import deactivate_user, rename_user
from users.models import User


@pytest.fixture(scope="module")
def process(servers, django_db_setup, tmp_path_factory) -> Iterator[LiveProcess]:
    found = LiveProcess(tmp_path_factory.mktemp("live"))
    yield found
    found.stop()


@pytest.fixture
def ada(projecting) -> User:
    return person("ada")


@pytest.fixture
def order(ada) -> Order:
    add_product(sku="MUG", stock=100)
    return placed(ada)


@pytest.fixture
def known(process):
    """The token of a user, once the read models know of it."""
    tokens: dict[int, str] = {}

    def found(user: User) -> str:
        if user.pk not in tokens:
            token = tokens[user.pk] = token_of(user)
            orders = f"/api/users/{user.pk}/orders/events"
            assert wait_until(lambda: process.ask(orders, token, "HEAD").status_code == 200, WAIT_SECONDS)
        return tokens[user.pk]

    return found


@pytest.fixture
def ask(process, known):
    """What the process answers a user, or nobody."""
    return lambda path, user=None, method="GET", **headers: process.ask(
        path, known(user) if user else None, method, **headers
    )


@pytest.fixture
def api(known):
    """The answer of the API's own process."""

    def found(path, user):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {known(user)}")
        return client.get(path, headers={"Accept": "*/*"})

    return found


@pytest.fixture
def follow(process, ask, known):
    """Follows as a user what is there already, or soon will be."""
    clients = []

    def found(path, user, last_id=None):
        assert wait_until(lambda: ask(path, user, "HEAD").status_code == 200, WAIT_SECONDS)
        clients.append(process.follow(path, known(user), last_id))
        return clients[-1]

    yield found
    for each in clients:
        each.leave()


def placed(user: User) -> Order:
    return place_order(customer_id=user.pk, lines=[("MUG", 1)])


def events_of(order: Order) -> str:
    return f"/api/orders/{order.pk}/events"


def orders_of(user: User) -> str:
    return f"/api/users/{user.pk}/orders/events"


# One order


def test_the_document_comes_first_and_after_each_change(follow, ada, order, api):
    client = follow(events_of(order), ada)
    first = client.wait_for(lambda update: update.name == "document")
    assert first.data == api(f"/api/orders/{order.pk}", ada).json()
    pay_order(order_id=order.pk)
    paid = client.wait_for(lambda update: update.name == "document" and update.data["status"] == "paid")
    assert paid.id > first.id


def test_the_id_is_the_documents_version(follow, ada, order, api):
    client = follow(events_of(order), ada)
    first = client.wait_for(lambda update: update.name == "document")
    response = api(f"/api/orders/{order.pk}", ada)
    assert first.id.split(".")[0] == response["Read-Model-Version"]
    again = follow(events_of(order), ada, response["Read-Model-Version"])
    rename_user(user_id=ada.pk, name="Countess")
    assert again.wait_for(lambda update: True).data["customer"]["name"] == "Countess"


def test_who_comes_back_gets_what_was_changed_since_and_nothing_twice(follow, ada, order):
    client = follow(events_of(order), ada)
    client.wait_for(lambda update: update.name == "document")
    client.leave()
    unchanged = follow(events_of(order), ada, client.last_id)
    assert wait_until(lambda: unchanged.heartbeats > 1, WAIT_SECONDS)
    assert unchanged.updates == []
    unchanged.leave()
    pay_order(order_id=order.pk)
    again = follow(events_of(order), ada, client.last_id)
    assert again.wait_for(lambda update: True).data["status"] == "paid"


def test_a_deleted_order_ends_the_stream(follow, ada, order):
    client = follow(events_of(order), ada)
    client.wait_for(lambda update: update.name == "document")
    order.lines.all().delete()
    order.delete()
    assert client.wait_for_end() == "gone"


def test_an_order_that_is_another_customers_now_ends_the_stream(follow, ada, order):
    client = follow(events_of(order), ada)
    client.wait_for(lambda update: update.name == "document")
    Order.objects.filter(pk=order.pk).update(customer=person("bob"))
    assert client.wait_for_end() == "gone"
    assert all(update.data["customer"]["name"] == "Ada" for update in client.updates[:-1])


# One customer's orders


def test_a_list_begins_with_reset_and_then_tells_each_row(follow, ada, order, api):
    client = follow(orders_of(ada), ada)
    assert client.wait_for(lambda update: True).name == "reset"
    second = placed(ada)
    row = client.wait_for(lambda update: update.name == "row")
    assert row.data == api(f"/api/users/{ada.pk}/orders", ada).json()["results"][0]
    assert row.data["id"] == second.pk
    pay_order(order_id=order.pk)
    paid = client.wait_for(lambda update: update.name == "row" and update.data["id"] == order.pk)
    assert (paid.data["status"], paid.id > row.id) == ("paid", True)


def test_rows_that_leave_a_list_are_told(follow, ada, order):
    client = follow(orders_of(ada), ada)
    client.wait_for(lambda update: update.name == "reset")
    Order.objects.filter(pk=order.pk).update(customer=person("bob"))
    assert client.wait_for(lambda update: update.name == "removed").data == {"id": order.pk}


def test_who_comes_back_to_a_list_gets_the_rows_changed_since_only(follow, ada, order):
    client = follow(orders_of(ada), ada)
    client.wait_for(lambda update: update.name == "reset")
    client.leave()
    second, third = placed(ada), placed(ada)
    again = follow(orders_of(ada), ada, client.last_id)
    again.wait_for(lambda update: update.data["id"] == third.pk)
    assert [(update.name, update.data["id"]) for update in again.updates] == [("row", second.pk), ("row", third.pk)]
    again.leave()
    last = follow(orders_of(ada), ada, again.updates[0].id)
    assert last.wait_for(lambda update: True).data["id"] == third.pk


def test_where_too_much_was_changed_a_list_is_to_be_loaded_anew(follow, ada, order, configured):
    client = follow(orders_of(ada), ada)
    client.wait_for(lambda update: update.name == "reset")
    client.leave()
    configured(LIVE_RECENT_ROWS=3)
    several = [placed(ada) for _ in range(8)]
    assert wait_until(lambda: outbox.backlog_rows() == 0, WAIT_SECONDS)
    again = follow(orders_of(ada), ada, client.last_id)
    assert again.wait_for(lambda update: True).name == "reset"
    pay_order(order_id=several[0].pk)
    assert again.wait_for(lambda update: update.name == "row").data["status"] == "paid"


def test_another_life_of_the_bucket_is_to_be_loaded_anew(follow, ada, order):
    client = follow(orders_of(ada), ada)
    reset = client.wait_for(lambda update: update.name == "reset")
    position = reset.id.split(".")[0]
    again = follow(orders_of(ada), ada, f"{position}.{'0' * 16}")
    assert again.wait_for(lambda update: True).name == "reset"


# Who may


def test_foreign_and_absent_are_answered_alike(ask, follow, ada, order):
    follow(events_of(order), ada)
    bob = person("bob")
    for mine, none in [
        (events_of(order), "/api/orders/9999/events"),
        (orders_of(ada), "/api/users/9999/orders/events"),
    ]:
        foreign, absent = [ask(path, bob) for path in (mine, none)]
        assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
        assert {**foreign.json(), "instance": none} == absent.json()
        assert _kept(foreign) == _kept(absent)


def test_foreign_and_absent_take_as_long(process, known, follow, ada, order):
    follow(events_of(order), ada)
    headers = {"Authorization": f"Bearer {known(person('bob'))}"}
    with httpx.Client(base_url=process.url, headers=headers, timeout=WAIT_SECONDS) as bob:
        for mine, none in [
            (events_of(order), f"/api/orders/{order.pk + 1}/events"),
            (orders_of(ada), f"/api/users/{ada.pk + 99}/orders/events"),
        ]:
            assert (bob.get(mine).status_code, bob.get(none).status_code) == (404, 404)
            assert_as_long(partial(bob.get, mine), partial(bob.get, none))


def _kept(answer):
    return {name: value for name, value in answer.headers.items() if name not in ("date", "content-length")}


def test_staff_follow_whatever_they_may_read(follow, ada, order):
    sam = person("sam", is_staff=True)
    assert follow(events_of(order), sam).wait_for(lambda update: True).data["id"] == order.pk
    assert follow(orders_of(ada), sam).wait_for(lambda update: True).name == "reset"


@pytest.mark.parametrize(
    "end_access",
    [
        lambda user: sign_out_everywhere(digest=AuthToken.objects.filter(user=user).first().digest),
        lambda user: deactivate_user(user_id=user.pk),
        lambda user: AuthToken.objects.filter(user=user).update(expiry="2020-01-01T00:00:00Z"),
    ],
    ids=["log-out", "deactivation", "expiry"],
)
def test_a_grant_that_ends_ends_the_streams(follow, ada, order, end_access):
    clients = [follow(events_of(order), ada), follow(orders_of(ada), ada)]
    for client in clients:
        client.wait_for(lambda update: True)
    end_access(ada)
    assert [client.wait_for_end() for client in clients] == ["signed_out", "signed_out"]


def test_lost_roles_end_the_streams_that_they_allowed(follow, ada, order):
    sam = person("sam", is_staff=True)
    clients = [follow(events_of(order), sam), follow(orders_of(ada), sam), follow(orders_of(sam), sam)]
    for client in clients:
        client.wait_for(lambda update: True)
    User.objects.filter(pk=sam.pk).update(is_staff=False, is_support=False, is_catalogue=False)
    assert [client.wait_for_end() for client in clients[:2]] == ["gone", "gone"]
    own = placed(sam)
    assert clients[2].wait_for(lambda update: update.name == "row").data["id"] == own.pk


# What is answered


def test_heartbeats_come_and_nothing_else(follow, ada, order):
    client = follow(events_of(order), ada)
    assert wait_until(lambda: client.heartbeats >= 3, WAIT_SECONDS)
    assert len(client.updates) == 1


def test_headers_keep_everybody_from_keeping_it(ask, follow, ada, order):
    follow(events_of(order), ada)
    headers = ask(events_of(order), ada, "HEAD").headers
    assert (headers["Content-Type"], headers["Cache-Control"]) == ("text/event-stream", "no-store")
    assert (headers["X-Accel-Buffering"], headers["Vary"]) == ("no", "Authorization")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code"),
    [
        ("GET", "/api/orders/1/events", {}, 401, "not_authenticated"),
        ("POST", "/api/orders/1/events", {"as": "ada"}, 405, "method_not_allowed"),
        ("GET", "/api/orders/1/events", {"as": "ada", "Accept": "application/xml"}, 406, "not_acceptable"),
        ("GET", "/api/orders/1/events?x=1", {"as": "ada"}, 400, "invalid_input"),
        ("GET", "/api/orders/1/events", {"as": "ada", "Last-Event-ID": "first"}, 400, "invalid_input"),
        ("GET", "/api/users/1/orders/events", {"as": "ada", "Last-Event-ID": "0" * 26}, 400, "invalid_input"),
        ("GET", "/api/orders/1", {}, 404, "no_such_route"),
        ("GET", "/api/orders", {}, 404, "no_such_route"),
        ("GET", "/api/orders/%00/events", {}, 404, "no_such_route"),
        ("GET", "/api/orders/99999999999999999999999/events", {"as": "ada"}, 404, "not_found"),
    ],
)
def test_what_is_refused_is_a_problem(ask, follow, ada, order, method, path, headers, status, code):
    follow(events_of(order), ada)
    user = ada if "as" in headers else None
    answer = ask(path, user, method, **{name: value for name, value in headers.items() if name != "as"})
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_canceled_orders_are_told_to_the_list_too(follow, ada, order):
    client = follow(orders_of(ada), ada)
    client.wait_for(lambda update: update.name == "reset")
    cancel_order(order_id=order.pk)
    assert client.wait_for(lambda update: update.name == "row").data["status"] == "cancelled"


# The API's own process


def test_the_api_leads_to_the_process_of_live_updates(api, follow, ada, order, configured):
    configured(EVENTS_URL="https://live.example.com/")
    for path in (events_of(order), "/api/orders/9999/events"):
        answer = api(path, ada)
        assert (answer.status_code, answer["Location"]) == (307, f"https://live.example.com{path}")


def test_without_such_a_process_the_api_has_no_live_updates(api, ada, order):
    answer = api(events_of(order), ada)
    assert (answer.status_code, answer.json()["code"]) == (404, "no_live_updates")
