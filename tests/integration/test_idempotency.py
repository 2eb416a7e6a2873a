"""A command repeated under its idempotency key: the first answer, once, to nobody else, for a day."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone

from orders.commands import create_product
from orders.models import Order, Product
from tests.api import PASSWORD, body, client_of, fields, person
from tests.threads import at_once
from users import idempotency, kept_answers
from users.models import KeptAnswer, User

LINES = {"lines": [{"sku": "A", "quantity": 2}]}
REGISTRATION = {"email": "new@example.com", "name": "New", "password": PASSWORD}
TOLD = ("ETag", "Location", "Consistency-Token", "Content-Type")


@pytest.fixture
def clients(store):
    create_product(sku="A", name="Apple", price_cents=120, stock=100)
    people = {"ada": person("ada"), "bob": person("bob"), "sam": person("sam", is_staff=True)}
    return {name: client_of(user) for name, user in people.items()} | {"nobody": client_of(None)}


def send(client, path, sent=None, key="k-1", method="post", **headers):
    return getattr(client, method)(path, sent or {}, headers={"Idempotency-Key": key, **headers})


def told(response):
    """All that an answer says, to the byte."""
    return response.status_code, response.content, {name: response.get(name) for name in TOLD}


# The first answer again


def test_repeated_order_is_the_first_one(clients):
    first, again = (send(clients["ada"], "/api/orders", LINES) for _ in range(2))
    assert first.status_code == 201
    assert told(again) == told(first)
    assert ("Idempotent-Replayed" in first, again["Idempotent-Replayed"]) == (False, "true")
    assert (Order.objects.count(), Product.objects.get().stock) == (1, 98)


@pytest.mark.parametrize(
    ("who", "method", "path", "sent"),
    [
        ("nobody", "post", "/api/users", REGISTRATION),
        ("ada", "patch", "/api/users/1", {"name": "Countess"}),
        ("sam", "post", "/api/users/2/deactivate", {}),
        ("ada", "post", "/api/account/email", {"email": "countess@example.com", "current_password": PASSWORD}),
        ("ada", "post", "/api/account/password", {"password": "a-new-long-phrase", "current_password": PASSWORD}),
        ("sam", "post", "/api/products", {"sku": "B", "name": "Bread", "price_cents": 1}),
        ("sam", "patch", "/api/products/A", {"price_cents": 1}),
        ("sam", "post", "/api/products/A/restock", {"quantity": 5}),
        ("ada", "post", "/api/orders/1/pay", {}),
        ("ada", "post", "/api/orders/1/cancel", {}),
        ("sam", "post", "/api/auth/logout-all", {}),
    ],
)
def test_every_command_can_be_repeated(clients, who, method, path, sent):
    clients["ada"].post("/api/orders", LINES)
    first = send(clients[who], path, sent, method=method, **{"If-Match": "*"})
    assert first.status_code < 300, first.content
    if path.endswith("logout-all"):
        clients[who] = client_of(User.objects.get(email="sam@example.com"))
    again = send(clients[who], path, sent, method=method, **{"If-Match": "*"})
    assert told(again) == told(first)
    assert again["Idempotent-Replayed"] == "true"


def test_answer_comes_in_the_form_that_was_asked_for_first(clients):
    first = send(clients["ada"], "/api/orders", LINES, Accept="application/json; indent=4")
    assert b'\n    "id"' in first.content
    assert told(send(clients["ada"], "/api/orders", LINES)) == told(first)


def test_command_that_changed_nothing_is_answered_alike(clients):
    token = clients["ada"].post("/api/orders", LINES)["Consistency-Token"]
    carried = {"Consistency-Token": token}
    first, again = (send(clients["ada"], "/api/users/1", {"name": "Ada"}, method="patch", **carried) for _ in range(2))
    assert (first["Consistency-Token"], told(again)) == (token, told(first))


@pytest.mark.parametrize("key", ['"k-1"', "k-1", " k-1 "])
def test_key_may_stand_in_quotes(clients, key):
    send(clients["ada"], "/api/orders", LINES)
    assert "Idempotent-Replayed" in send(clients["ada"], "/api/orders", LINES, key=key)


def test_order_of_fields_and_spaces_make_no_other_request(clients):
    for content in ('{"name": "New", "country": "UK", %s}', '{"country":"UK","name":"New",%s}'):
        rest = f'"email": "new@example.com", "password": "{PASSWORD}"'
        answer = clients["nobody"].generic(
            "POST", "/api/users", content % rest, content_type="application/json", headers={"Idempotency-Key": "k"}
        )
        assert answer.status_code == 201
    assert answer["Idempotent-Replayed"] == "true"


# Not the first answer


@pytest.mark.parametrize(
    ("path", "sent"),
    [("/api/orders", {"lines": [{"sku": "A", "quantity": 3}]}), ("/api/orders/1/pay", {})],
)
def test_key_of_another_request_is_refused(clients, path, sent):
    send(clients["ada"], "/api/orders", LINES)
    refused = send(clients["ada"], path, sent)
    assert (refused.status_code, body(refused)["code"]) == (422, "idempotency_key_reused")
    assert [order.status for order in Order.objects.all()] == ["placed"]


def test_keys_are_each_users_own(clients):
    first, others = send(clients["ada"], "/api/orders", LINES), send(clients["bob"], "/api/orders", LINES)
    assert (others.status_code, "Idempotent-Replayed" in others) == (201, False)
    assert body(first)["customer_id"] != body(others)["customer_id"]


def test_strangers_answer_is_given_to_nobody_without_the_password(clients):
    send(clients["nobody"], "/api/users", REGISTRATION)
    guess = send(clients["nobody"], "/api/users", {**REGISTRATION, "password": "another-long-phrase"})
    assert (guess.status_code, b"new@example.com" in guess.content) == (422, False)


def test_password_is_not_kept(clients):
    send(clients["nobody"], "/api/users", REGISTRATION)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_json(k)::text FROM users_kept_answer k")
        assert PASSWORD not in cursor.fetchone()[0]


def test_log_in_is_never_kept(clients, projecting):
    credentials = {"email": "ada@example.com", "password": PASSWORD}
    first, again = (send(clients["nobody"], "/api/auth/login", credentials) for _ in range(2))
    assert body(first)["token"] != body(again)["token"]
    assert not KeptAnswer.objects.exists()


def test_failed_command_can_be_tried_again_under_its_key(clients):
    Product.objects.update(stock=1)
    assert send(clients["ada"], "/api/orders", LINES).status_code == 409
    assert not KeptAnswer.objects.exists()
    Product.objects.update(stock=10)
    assert send(clients["ada"], "/api/orders", LINES).status_code == 201


def test_answer_that_could_not_be_kept_takes_its_command_back(clients, monkeypatch):
    def fail(*arguments, **more):
        raise ZeroDivisionError

    monkeypatch.setattr(kept_answers, "keep", fail)
    with pytest.raises(ZeroDivisionError):
        send(clients["ada"], "/api/orders", LINES)
    assert (Order.objects.count(), Product.objects.get().stock) == (0, 100)


def test_connection_lost_before_the_commit_leaves_nothing(clients, monkeypatch):
    def cut(*arguments, **more):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with monkeypatch.context() as patched:
        patched.setattr(kept_answers, "keep", cut)
        [lost] = at_once(lambda: send(clients["ada"], "/api/orders", LINES))
    assert (lost.status_code, Order.objects.exists(), KeptAnswer.objects.exists()) == (503, False, False)
    assert send(clients["ada"], "/api/orders", LINES).status_code == 201


@pytest.mark.parametrize(
    "key", ["", " ", '""', '"', '"a', '"a"b"', 'a"b', "ü", "a\tb", "x" * 201, '"' + "x" * 201 + '"', '"a";b=1', '"\\n"']
)
def test_what_is_no_key_is_refused(clients, key):
    refused = send(clients["ada"], "/api/orders", LINES, key=key)
    assert (refused.status_code, fields(refused)) == (400, ["Idempotency-Key"])
    assert not Order.objects.exists()


@pytest.mark.parametrize("key", ["x" * 200, '"' + "x" * 200 + '"', '"a\\"b\\\\"', "~!#"])
def test_longest_and_oddest_keys_are_taken(clients, key):
    assert send(clients["ada"], "/api/orders", LINES, key=key).status_code == 201


# At once


def test_of_twenty_at_once_one_is_done(clients):
    ada = User.objects.get(email="ada@example.com")
    senders = [client_of(ada) for _ in range(20)]
    answers = at_once(*(lambda client=client: send(client, "/api/orders", LINES) for client in senders))
    done = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    assert Order.objects.count() == 1
    assert {told(answer)[1] for answer in done} == {done[0].content}
    assert sum("Idempotent-Replayed" not in answer for answer in done) == 1
    assert {(answer.status_code, body(answer)["code"]) for answer in refused} <= {(409, "idempotency_key_in_use")}


def test_key_under_way_is_refused_without_waiting(clients):
    def meanwhile():
        return send(clients["ada"], "/api/orders", LINES)

    with transaction.atomic():
        Product.objects.select_for_update().get()  # would hold up any order, were it not refused before
        idempotency.begin(key_of_adas_order())
        [refused] = at_once(meanwhile)
    assert (refused.status_code, body(refused)["code"]) == (409, "idempotency_key_in_use")
    assert refused["Retry-After"] == "1"
    assert meanwhile().status_code == 201


def test_other_keys_are_not_held_up(clients):
    with transaction.atomic():
        idempotency.begin(key_of_adas_order())
        [other] = at_once(lambda: send(clients["ada"], "/api/orders", LINES, key="k-2"))
    assert other.status_code == 201


def test_command_whose_transaction_fails_at_its_end_leaves_no_record(clients):
    with connection.cursor() as cursor:
        cursor.execute("CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'")
        cursor.execute(
            "CREATE CONSTRAINT TRIGGER no AFTER INSERT ON orders_order DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION no()"
        )
        try:
            [failed] = at_once(lambda: send(clients["ada"], "/api/orders", LINES))
        finally:
            cursor.execute("DROP FUNCTION no CASCADE")
    assert isinstance(failed, Exception)
    assert (Order.objects.exists(), KeptAnswer.objects.exists()) == (False, False)
    assert send(clients["ada"], "/api/orders", LINES).status_code == 201


# Afterwards


def test_key_is_free_again_after_a_day(clients):
    send(clients["ada"], "/api/orders", LINES)
    make_expired(1)
    assert "Idempotent-Replayed" not in send(clients["ada"], "/api/orders", LINES)
    assert "Idempotent-Replayed" in send(clients["ada"], "/api/orders", LINES)
    assert Order.objects.count() == 2


def test_expired_answers_are_forgotten_a_few_at_a_time(clients):
    for _ in range(4):
        send(clients["ada"], "/api/orders", LINES, key=str(uuid4()))
    make_expired(3)
    assert [kept_answers.forget_expired(limit=2) for _ in range(3)] == [2, 1, 0]
    assert KeptAnswer.objects.count() == 1


def test_answers_of_and_about_a_user_are_forgotten(clients):
    send(clients["nobody"], "/api/users", REGISTRATION)
    new = User.objects.get(email="new@example.com")
    send(client_of(new), "/api/orders", LINES)
    send(clients["sam"], f"/api/users/{new.pk}", {"name": "Newer"}, method="patch", **{"If-Match": "*"})
    send(clients["sam"], "/api/orders", {**LINES, "customer_id": new.pk}, key="k-2")
    send(clients["ada"], "/api/orders", LINES)
    assert kept_answers.forget_answers_of(new.pk) == 4
    assert KeptAnswer.objects.get().asked_by.email == "ada@example.com"


def test_deleted_user_takes_the_answers_along(clients):
    send(clients["nobody"], "/api/users", REGISTRATION)
    User.objects.get(email="new@example.com").delete()
    assert not KeptAnswer.objects.exists()


def make_expired(count):
    some = KeptAnswer.objects.values_list("digest", flat=True)[:count]
    KeptAnswer.objects.filter(digest__in=list(some)).update(expires_at=timezone.now() - timedelta(seconds=1))


def key_of_adas_order():
    """What `send` names, as the service knows it."""
    ada = User.objects.get(email="ada@example.com")

    class Asked:
        headers = {"Idempotency-Key": "k-1"}
        method, path, data, user = "POST", "/api/orders", LINES, None

    Asked.user = type("Principal", (), {"user_id": ada.pk})()
    return idempotency.named(Asked())
