"""Erasure reaches every copy: by HTTP, and by a scan of everything that is stored, before and after."""

import json

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db import connection

from orders.readmodels.order_detail import OrderDetail
from readmodels import connection as redis_connection
from readmodels import deadletters, generations, models, outbox, switching, testing
from readmodels.deadletters import Failure
from readmodels.plan import FORMAT
from readmodels.store import Store
from tests import scan
from tests.api import PASSWORD, body, client_of, fields, person
from tests.reading import body as document
from tests.rows import add_line, add_order, add_product
from tests.unreachable import no_redis
from users import holders
from users.commands import rename_user
from users.erasure import complete, erase_customer
from users.models import Erasure, User

EMAIL, NAME = "zuleika.unmistakable@example.com", "Zuleika Ünmistakable-Quux"
TEXTS = (EMAIL, NAME, json.dumps(NAME)[1:-1])


@pytest.fixture
def staff(store):
    return client_of(person("sam", is_staff=True))


@pytest.fixture
def zuleika(store):
    """A customer with orders, all of it projected."""
    user = User.objects.create_user(EMAIL, PASSWORD, name=NAME, country="Brobdingnag")
    product = add_product()
    for _ in range(3):
        add_line(add_order(user), product)
    testing.drain(store)
    return user


def everywhere(store: Store) -> list[str]:
    broker = scan.in_redis(redis_connection.broker(), *TEXTS)
    return [*scan.in_redis(store._client, *TEXTS), *broker, *scan.in_postgresql(*TEXTS)]


def erase(client, user, **sent):
    return client.post(f"/api/users/{user.pk}/erase", sent)


def receipt_of(response):
    assert response.status_code == 200, response.content
    return body(response)


def found_in(receipt, name: str) -> int:
    return sum(place["found"] for place in receipt["places"] if place["name"].startswith(name))


def park(user: User, of: str = "UserProfile", source: str = "users_user", key: object = None) -> None:
    number = models.Generation.objects.get(read_model=of, state="live").number
    before = {"id": user.pk, "email": EMAIL} if source == "users_user" else {"id": key, "customer_id": user.pk}
    error, trace = f"DataError: {NAME} is too long", f"Traceback: {EMAIL}"
    deadletters.park(
        [Failure(of, number, source, str(key or user.pk), json.dumps(before), [1], error, trace)], attempts=5
    )


# What a scan finds


def test_no_byte_is_left_of_somebody_with_a_long_history(store, staff, zuleika):
    client_of(zuleika)
    sam = User.objects.get(name="Sam")
    LogEntry.objects.log_actions(sam.pk, [zuleika], CHANGE, [{"changed": {"name": NAME}}])
    mine, others = SessionStore(), SessionStore()
    mine["_auth_user_id"] = str(zuleika.pk)
    others.update({"_auth_user_id": str(sam.pk), "_messages": f"{EMAIL} was changed"})
    mine.save()
    others.save()
    rename_user(user_id=zuleika.pk, name=f"{NAME} II")
    for read_model in ("UserProfile", "OrderDetail"):
        switching.begin(read_model)
    testing.drain(store)
    park(zuleika)
    park(zuleika, "OrderDetail", "orders_order", zuleika.orders.first().pk)
    rename_user(user_id=zuleika.pk, name=f"{NAME} III")  # is not projected yet
    assert len(everywhere(store)) > 8
    receipt = receipt_of(erase(staff, zuleika))
    assert everywhere(store) == []
    assert (receipt["is_verified"], receipt["left"], receipt["unlooked"]) == (True, {}, [])
    assert others.decode(Session.objects.get().session_data) == {"_auth_user_id": str(sam.pk)}
    testing.drain(store)
    assert everywhere(store) == []
    testing.assert_law(store)


def test_receipt_counts_what_was_found_and_names_nobody(store, staff, zuleika):
    client_of(zuleika)
    testing.drain(store)
    receipt = receipt_of(erase(staff, zuleika))
    assert [found_in(receipt, name) for name in ("UserProfile", "OrderDetail", "OrdersByStatus")] == [1, 3, 3]
    assert found_in(receipt, "knox_authtoken") == 1
    assert (receipt["user_id"], receipt["by_id"]) == (zuleika.pk, User.objects.get(name="Sam").pk)
    assert receipt["began_at"] <= receipt["completed_at"]
    assert not any(text in json.dumps(receipt, ensure_ascii=False) for text in (*TEXTS, "Brobdingnag"))


def test_orders_stay_and_say_that_their_customer_was_erased(store, staff, zuleika):
    order = zuleika.orders.first()
    erase(staff, zuleika)
    answered = body(staff.get(f"/api/orders/{order.pk}"))
    assert (answered["customer"], answered["total_cents"]) == ({"id": zuleika.pk, "name": "Erased user"}, 1000)


def test_somebody_of_the_same_name_is_left_alone(store, staff, zuleika):
    other = User.objects.create_user("other@example.com", name=NAME)
    order = add_order(other)
    testing.drain(store)
    assert receipt_of(erase(staff, zuleika))["is_verified"]
    assert document(store, OrderDetail, order.pk)["customer"]["name"] == NAME


def test_queries_need_not_wait_for_a_worker(store, staff, zuleika):
    erase(staff, zuleika)
    assert outbox.backlog_rows() > 0
    assert body(staff.get(f"/api/users/{zuleika.pk}"))["name"] == "Erased user"


# Every generation


def name_in_generation(store: Store, read_model: str, number: int) -> list[str]:
    return [key for key in scan.in_redis(store._client, *TEXTS) if f":{read_model}:{number}:" in key]


@pytest.mark.parametrize("state", ["retired", "withdrawn", "broken", "cancelled", "over"])
@pytest.mark.parametrize("read_model", ["OrderDetail", "OrdersByStatus"])
def test_generations_that_nobody_is_served_forget_too(store, staff, zuleika, state, read_model):
    switching.begin(read_model)
    testing.drain(store)
    old, _ = models.Generation.objects.filter(read_model=read_model).order_by("number")
    models.Generation.objects.filter(pk=old.pk).update(state=state)
    assert name_in_generation(store, read_model, old.number)
    assert receipt_of(erase(staff, zuleika))["is_verified"]
    assert everywhere(store) == []


def test_broken_generation_whose_sql_runs_no_more_is_searched(store, staff, zuleika):
    switching.begin("OrderDetail")
    testing.drain(store)
    old = models.Generation.objects.filter(read_model="OrderDetail").earliest("number")
    old.plan["build_sql"] = old.plan["placed_sql"] = "SELECT nothing FROM nowhere"
    for dependency in old.plan["dependencies"]:
        dependency["touched_sql"] = dependency["touched_sql"] and "SELECT nothing FROM nowhere"
    old.state = "broken"
    old.save()
    generations._plans.clear()
    assert receipt_of(erase(staff, zuleika))["is_verified"]
    assert everywhere(store) == []


@pytest.fixture
def newer(store):
    """A generation that only newer code can build."""
    plan = models.Generation.objects.get(read_model="UserProfile", state="live").plan
    newer_plan = {**plan, "name": "Newer", "format": FORMAT + 1}
    made = models.Generation.objects.create(
        read_model="Newer", number=1, fingerprint="newer", plan=newer_plan, format=FORMAT + 1, state="building"
    )
    yield made
    made.delete()


def test_what_is_left_to_newer_code_is_named(store, newer, staff, zuleika):
    receipt = receipt_of(erase(staff, zuleika))
    assert (receipt["is_verified"], receipt["left"]) == (False, {"Newer 1 (building)": 1})
    models.Generation.objects.filter(pk=newer.pk).update(state="cancelled")
    assert complete(erase_customer(user_id=zuleika.pk, also=[EMAIL])).is_verified


def test_what_a_dropped_generation_left_behind_is_found(store, staff, zuleika):
    store._client.set("rm:{b007}:OrderDetail:99:1", f"00 0 1:1:\n{NAME}")
    store._client.hset("rm:{b007}:OrdersByStatus:99:placed:rows", "1", EMAIL)
    receipt = receipt_of(erase(staff, zuleika))
    assert everywhere(store) == []
    assert found_in(receipt, "OrderDetail 99 (gone)") == 1


MANY = 1200  # more than is read of a key at a time


@pytest.mark.parametrize("kind", ["hash", "zset", "set", "list", "stream"])
def test_whatever_redis_holds_is_searched_to_its_end(store, staff, zuleika, kind):
    key, texts = "rm:{b007}:OrderDetail:99:1", [*(f"{number:04}" for number in range(MANY)), f"9999 {EMAIL}"]
    for text in texts:
        {
            "hash": lambda text: store._client.hset(key, text, text),
            "zset": lambda text: store._client.zadd(key, {text: 0}),
            "set": lambda text: store._client.sadd(key, text),
            "list": lambda text: store._client.rpush(key, text),
            "stream": lambda text: store._client.xadd(key, {"text": text}),
        }[kind](text)
    receipt = receipt_of(erase(staff, zuleika))
    assert (receipt["is_verified"], found_in(receipt, "OrderDetail 99 (gone)")) == (True, 1)
    assert everywhere(store) == []


def test_the_broker_is_searched_too(store, staff, zuleika):
    redis_connection.broker().rpush("live", f"somebody's own message: {EMAIL}")
    assert receipt_of(erase(staff, zuleika))["left"] == {"broker": 1}


def test_drift_that_holds_the_address_is_mended(store, staff, zuleika):
    """Where no dependency leads to: somebody's hand, or a fault of the engine."""
    sam = User.objects.get(name="Sam")
    number = models.Generation.objects.get(read_model="UserProfile", state="live").number
    key = next(store._client.scan_iter(f"*UserProfile:{number}:{sam.pk}"))
    store._client.set(key, store._client.get(key).replace(b"sam@example.com", EMAIL.encode()))
    assert receipt_of(erase(staff, zuleika))["is_verified"]
    assert body(staff.get(f"/api/users/{sam.pk}"))["email"] == "sam@example.com"


def test_what_can_not_be_built_is_removed(store, staff, zuleika):
    order = zuleika.orders.first()
    with connection.cursor() as cursor:  # more than a measure may hold, behind the projector's back
        cursor.execute("UPDATE orders_order SET total_cents = 10::bigint ^ 16 WHERE id = %s", [order.pk])
    assert receipt_of(erase(staff, zuleika))["is_verified"]
    assert everywhere(store) == []
    assert document(store, OrderDetail, order.pk)["total_cents"] == 10**16


def test_many_orders_are_done_in_parts(store, staff, zuleika, configured):
    configured(BATCH_ROWS=2)
    receipt = receipt_of(erase(staff, zuleika))
    assert (receipt["is_verified"], found_in(receipt, "OrderDetail")) == (True, 3)


# Who may


def test_customers_erase_themselves_with_their_password(store, zuleika):
    own = client_of(zuleika)
    testing.drain(store)
    assert fields(erase(own, zuleika)) == ["current_password"]
    assert fields(erase(own, zuleika, current_password="wrong-horse")) == ["current_password"]
    assert receipt_of(erase(own, zuleika, current_password=PASSWORD))["by_id"] == zuleika.pk
    assert erase(own, zuleika, current_password=PASSWORD).status_code == 401
    assert everywhere(store) == []


def test_foreign_and_absent_users_are_answered_alike(store, zuleika):
    ada = client_of(person("ada"))
    foreign, absent = erase(ada, zuleika), ada.post("/api/users/999999/erase", {})
    assert (foreign.status_code, absent.status_code) == (404, 404)
    assert {**body(foreign), "instance": ""} == {**body(absent), "instance": ""}
    assert Erasure.objects.count() == 0


def test_absent_user_is_404_for_staff(staff):
    assert staff.post("/api/users/999999/erase", {}).status_code == 404


def test_nobody_erases_without_logging_in(store, zuleika):
    assert erase(client_of(None), zuleika).status_code == 401


@pytest.mark.parametrize("is_own", [True, False])
def test_staff_are_erased_by_superusers_only(store, staff, is_own):
    peer = person("peer", is_staff=True)
    client = client_of(peer) if is_own else staff
    assert erase(client, peer, **({"current_password": PASSWORD} if is_own else {})).status_code == 403
    root = client_of(person("root", is_staff=True, is_superuser=True))
    assert receipt_of(erase(root, peer))["is_verified"]


def test_password_is_for_ones_own_account(staff, zuleika):
    assert fields(erase(staff, zuleika, current_password=PASSWORD)) == ["current_password"]
    assert fields(erase(staff, zuleika, really=True)) == ["really"]


# Again


def test_erased_again_the_receipt_is_the_same(staff, zuleika):
    first = receipt_of(erase(staff, zuleika))
    assert receipt_of(erase(staff, zuleika)) == first
    assert Erasure.objects.count() == 1


def test_where_redis_is_away_the_rest_is_done_later(store, staff, zuleika, monkeypatch):
    with monkeypatch.context() as patched:
        no_redis(patched)
        receipt = receipt_of(erase(staff, zuleika))
    assert (receipt["completed_at"], receipt["is_verified"]) == (None, False)
    assert scan.in_postgresql(*TEXTS) == []
    assert receipt_of(erase(staff, zuleika))["completed_at"]
    assert everywhere(store) == []


def test_it_is_looked_again_for_what_is_named(store, zuleika):
    complete(erase_customer(user_id=zuleika.pk))
    store._client.set("rm:{b007}:OrderDetail:99:1", "old-address@example.com")
    receipt = complete(erase_customer(user_id=zuleika.pk, also=["old-address@example.com"]))
    assert receipt.is_verified
    assert scan.in_redis(store._client, "old-address") == []


def test_what_can_not_be_removed_is_said_to_be_left(store, staff, zuleika):
    add_product(name=f"The {EMAIL} mug")
    receipt = receipt_of(erase(staff, zuleika))
    assert (receipt["is_verified"], receipt["left"]) == (False, {"orders_product": 1})


def test_tables_that_are_registered_forget_as_well(store, staff, zuleika, monkeypatch):
    monkeypatch.setattr(holders, "_holders", dict(holders._holders))
    asked = []
    holders.register("notes", lambda person: asked.append(person.user_id) or 4)
    assert found_in(receipt_of(erase(staff, zuleika)), "notes") == 4
    assert asked == [zuleika.pk]
