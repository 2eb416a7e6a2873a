"""Several orders by their ids, in one answer."""

import pytest

from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from readmodels import connection
from readmodels.connection import packed
from readmodels.consistency import Token
from readmodels.query import reader
from readmodels.store import Store
from readmodels.testing import drain
from tests.api import body, client_of, fields, person
from tests.rows import add_line, add_order, add_product


@pytest.fixture
def shop(store):
    """Clients; orders 1 to 3 are Ada's, 4 is Bob's, 5 a guest's."""
    ada, bob = person("ada"), person("bob")
    product = add_product(sku="A")
    for customer in (ada, ada, ada, bob, None):
        add_line(add_order(customer), product)
    found = {"ada": ada, "bob": bob, "staff": person("sam", is_staff=True), "nobody": None}
    clients = {name: client_of(user) for name, user in found.items()}
    drain(store)
    return clients


def ids(response):
    return [each["id"] for each in body(response)["results"]]


def test_orders_come_as_stored_in_the_order_asked_for(shop):
    response = shop["ada"].get("/api/orders?ids=3,1,2")
    assert ids(response) == [3, 1, 2]
    assert reader().document(OrderDetail, 1).body in response.content


def test_staff_see_all_that_there_are(shop):
    response = shop["staff"].get("/api/orders?ids=5,99,4,1")
    assert (ids(response), body(response)["missing"]) == ([5, 4, 1], [99])


def test_foreign_and_absent_are_missing_alike(shop):
    foreign, absent = shop["ada"].get("/api/orders?ids=1,4"), shop["ada"].get("/api/orders?ids=1,9")
    assert (ids(foreign), body(foreign)["missing"]) == ([1], [4])
    assert foreign.content.replace(b"4]", b"9]") == absent.content
    changing = {"ETag": ""}
    assert dict(foreign.headers) | changing == dict(absent.headers) | changing


def test_nobody_is_asked_to_sign_in(shop):
    assert shop["nobody"].get("/api/orders?ids=1").status_code == 401


def test_a_hundred_are_one_round_trip(shop, monkeypatch):
    calls = []
    ask = Store.ask
    monkeypatch.setattr(
        Store, "ask", lambda self, commands, *rest: calls.append(commands) or ask(self, commands, *rest)
    )
    assert shop["staff"].get(f"/api/orders?ids={','.join(map(str, range(1, 101)))}").status_code == 200
    looks = [commands for commands in calls if b"MGET" in packed(commands[0])]
    assert [len(commands) for commands in looks] == [1, 100]  # the first: the access grant


@pytest.mark.parametrize(
    "wrong", ["", "x", "1,", "1,,2", "1,1", "0", "-1", "01", "1.5", " 1", "%D9%A3", str(2**63), "9" * 5000, "%00"]
)
def test_wrong_ids_are_400(shop, wrong):
    response = shop["ada"].get(f"/api/orders?ids={wrong}")
    assert (response.status_code, fields(response)) == (400, ["ids"])
    assert "accepted" in body(response)["fields"][0]["detail"]


def test_more_than_a_hundred_are_400(shop):
    assert fields(shop["ada"].get(f"/api/orders?ids={','.join(map(str, range(1, 102)))}")) == ["ids"]


@pytest.mark.parametrize("url", ["/api/orders?ids=1&status=paid", "/api/orders", "/api/orders?limit=3"])
def test_one_of_ids_and_status_is_required(shop, url):
    response = shop["staff"].get(url)
    assert (response.status_code, sorted(fields(response))) == (400, ["ids", "status"])


def test_parameters_of_the_other_way_are_refused(shop):
    assert fields(shop["staff"].get("/api/orders?ids=1&limit=3&sort=placed_at")) == ["limit", "sort"]


def test_changed_order_is_sent_again(shop, store):
    etag = shop["ada"].get("/api/orders?ids=1,2")["ETag"]
    assert etag.startswith("W/")
    Order.objects.filter(pk=2).update(status="paid")
    drain(store)
    assert shop["ada"].get("/api/orders?ids=1,2", headers={"If-None-Match": etag}).status_code == 200


def test_answer_is_as_old_as_its_oldest_order(shop, store):
    Order.objects.filter(pk=2).update(status="paid")
    drain(store)
    old, new = (shop["ada"].get(f"/api/orders/{number}")["Read-Model-Version"] for number in (1, 2))
    assert old < new
    assert shop["ada"].get("/api/orders?ids=2,1")["Read-Model-Version"] == old


def test_token_is_waited_for(shop, store):
    asked = {"Consistency-Token": str(Token(store.epoch(), 2**40)), "Prefer": "wait=0"}
    assert body(shop["ada"].get("/api/orders?ids=1,2", headers=asked))["code"] == "not_yet"
    stale = shop["ada"].get("/api/orders?ids=1,2", headers=asked | {"Prefer": "wait=0, on-timeout=stale"})
    assert (ids(stale), stale["Read-Model-Stale"]) == ([1, 2], "true")


def test_greatest_staleness_holds_for_all(shop):
    response = shop["ada"].get("/api/orders?ids=1,9", headers={"Cache-Control": "max-stale=60"})
    assert response.status_code == 200


def test_lost_redis_is_503(shop):
    connection.read_models().flushdb()
    assert shop["ada"].get("/api/orders?ids=1,2").status_code == 503
