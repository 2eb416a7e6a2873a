"""One's own account: its page, and what changes who can sign in to it."""

import pytest
from knox.models import AuthToken
from rest_framework.test import APIClient

from readmodels.testing import drain
from tests.api import PASSWORD, body, client_of, fields, person
from tests.threads import at_once
from users.models import User

NEW = "another-long-phrase"


@pytest.fixture
def ada(store):
    return person("ada")


@pytest.fixture
def client(ada):
    return client_of(ada)


def password(client, current=PASSWORD, new=NEW, **headers):
    return client.post("/api/account/password", {"current_password": current, "password": new}, headers=headers)


def email(client, to="countess@example.com", current=PASSWORD, **headers):
    return client.post("/api/account/email", {"email": to, "current_password": current}, headers=headers)


def log_in(address, phrase):
    return APIClient().post("/api/auth/login", {"email": address, "password": phrase})


def test_account_is_the_askers_own_page(client, ada, store):
    bob = person("bob")
    bobs = client_of(bob)
    drain(store)
    mine, page = client.get("/api/account"), client.get(f"/api/users/{ada.pk}")
    assert (mine.status_code, mine.content, mine["ETag"]) == (200, page.content, page["ETag"])
    assert client.get("/api/account", headers={"If-None-Match": mine["ETag"]}).status_code == 304
    assert body(bobs.get("/api/account"))["id"] == bob.pk


def test_account_shows_the_write_whose_token_is_sent(client, ada, projecting):
    changed = email(client)
    asked = {"Consistency-Token": changed["Consistency-Token"], "Prefer": "wait=10"}
    assert body(client.get("/api/account", headers=asked))["email"] == "countess@example.com"


@pytest.mark.parametrize("path", ["/api/account/password", "/api/account/email"])
def test_account_of_nobody_is_not_changed(store, path):
    assert APIClient().post(path, {}).status_code == 401


# The password


def test_new_password_opens_and_the_old_one_does_not(client, projecting):
    changed = password(client)
    assert (changed.status_code, changed["ETag"], body(changed)["version"]) == (200, '"2"', 2)
    assert log_in("ada@example.com", PASSWORD).status_code == 401
    assert log_in("ada@example.com", NEW).status_code == 200


def test_new_password_ends_the_other_tokens(client, ada, store):
    elsewhere, bob = client_of(ada), client_of(person("bob"))
    password(client)
    drain(store)
    assert [each.get("/api/account").status_code for each in (client, elsewhere, bob)] == [200, 401, 200]
    assert elsewhere.post("/api/auth/logout").status_code == 401


@pytest.mark.parametrize("change", [password, email])
def test_token_alone_changes_nothing(client, ada, change):
    client_of(ada)
    refused = change(client, current="stolen-token-only")
    assert (refused.status_code, body(refused)["code"], fields(refused)) == (
        400,
        "wrong_password",
        ["current_password"],
    )
    assert User.objects.values_list("email", "version").get() == ("ada@example.com", 1)
    assert AuthToken.objects.count() == 2


@pytest.mark.parametrize(
    "weak", ["short", "12345678901", "password123", "ada@example.com", "x" * 129, "tab\tin-the-middle"]
)
def test_weak_passwords_are_refused_as_at_registration(client, weak):
    refused = password(client, new=weak)
    assert (refused.status_code, fields(refused)) == (400, ["password"])
    assert User.objects.get().check_password(PASSWORD)


def test_user_without_a_password_proves_nothing(client, ada):
    ada.set_unusable_password()
    ada.save()
    assert body(password(client, current="!"))["code"] == "wrong_password"


def test_of_two_changes_with_one_password_one_is_refused(client, ada):
    other = client_of(ada)
    first, second = at_once(lambda: password(client), lambda: password(other, new="a-third-long-phrase"))
    # Who comes second has a wrong password by then, or no token any more.
    assert sorted([first.status_code, second.status_code]) in ([200, 400], [200, 401])


# The e-mail


def test_new_email_is_the_one_to_log_in_with(client, projecting):
    assert email(client).status_code == 200
    assert log_in("ada@example.com", PASSWORD).status_code == 401
    assert log_in("countess@example.com", PASSWORD).status_code == 200


def test_taken_or_impossible_emails_are_refused(client):
    person("bob")
    taken, wrong = email(client, to="BOB@example.com"), email(client, to="no address")
    assert (taken.status_code, body(taken)["code"]) == (409, "email_taken")
    assert (wrong.status_code, fields(wrong)) == (400, ["email"])


@pytest.mark.parametrize("roles", [{}, {"is_staff": True}, {"is_staff": True, "is_superuser": True}])
def test_own_email_is_not_changed_by_a_token_alone(store, roles):
    user = person("sam", **roles)
    refused = client_of(user).patch(f"/api/users/{user.pk}", {"email": "mine@example.com"})
    assert (refused.status_code, fields(refused)) == (400, ["email"])
    assert "/api/account/email" in refused.content.decode()


def test_staff_change_a_customers_email(ada):
    staff = client_of(person("sam", is_staff=True))
    changed = staff.patch(f"/api/users/{ada.pk}", {"email": "new@example.com"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, body(changed)["email"]) == (200, "new@example.com")


@pytest.mark.parametrize("change", [password, email])
def test_version_is_held_against_the_row(client, change):
    assert change(client, **{"If-Match": '"7"'}).status_code == 412
    assert change(client, **{"If-Match": '"1"'}).status_code == 200
