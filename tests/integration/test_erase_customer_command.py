"""`manage.py erase_customer`, in the test's own process."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from readmodels import testing
from tests import scan
from tests.unreachable import no_redis
from users.erasure import complete, erase_customer
from users.models import Erasure, User

EMAIL, NAME = "zuleika.unmistakable@example.com", "Zuleika Unmistakable"


@pytest.fixture
def zuleika(store):
    user = User.objects.create_user(EMAIL, name=NAME)
    testing.drain(store)
    return user


def run(*words: object) -> tuple[int, str]:
    """(exit code, what it printed)"""
    out = io.StringIO()
    try:
        call_command("erase_customer", *map(str, words), stdout=out, stderr=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    except CommandError as error:
        return error.returncode, str(error)
    return 0, out.getvalue()


def test_person_is_erased_and_the_receipt_is_shown(store, zuleika):
    code, text = run(zuleika.pk)
    assert (code, scan.in_redis(store._client, EMAIL, NAME), scan.in_postgresql(EMAIL, NAME)) == (0, [], [])
    assert "UserProfile" in text
    assert "Nothing is left" in text


def test_receipts_come_as_json(zuleika):
    code, text = run(zuleika.pk, "--json")
    assert (code, json.loads(text)["is_verified"], json.loads(text)["user_id"]) == (0, True, zuleika.pk)


def test_erased_again_it_is_as_before(zuleika):
    run(zuleika.pk)
    places = Erasure.objects.get().places
    assert run(zuleika.pk)[0] == 0
    assert Erasure.objects.get().places == places


def test_everybody_is_erased_again_after_a_restore(store, zuleika):
    """The receipts outlived it, the anonymous rows did not."""
    complete(erase_customer(user_id=zuleika.pk))
    User.objects.filter(pk=zuleika.pk).update(email=EMAIL, name=NAME)
    testing.drain(store)
    assert run("--list") == (0, f"{zuleika.pk}\n")
    assert run("--again")[0] == 0
    assert (scan.in_redis(store._client, EMAIL, NAME), scan.in_postgresql(EMAIL, NAME)) == ([], [])
    assert Erasure.objects.count() == 2


def test_former_address_is_looked_for(store, zuleika, monkeypatch):
    run(zuleika.pk)
    store._client.set("rm:{b007}:OrderDetail:99:1", "former@example.com")
    monkeypatch.setattr("sys.stdin", io.StringIO("former@example.com\n"))
    assert run(zuleika.pk, "--look-for")[0] == 0
    assert scan.in_redis(store._client, "former@example.com") == []


def test_one_whose_read_models_are_still_to_be_done_is_told_of(zuleika, monkeypatch):
    no_redis(monkeypatch)
    code, text = run(zuleika.pk)
    assert code == 1
    assert "run it again" in text


@pytest.mark.parametrize("words", [[], [999999], ["--look-for"], ["1", "2", "--look-for"]])
def test_wrong_arguments_are_refused(store, words):
    assert run(*words)[0] == 2


def test_absent_user_hinders_no_other(store, zuleika):
    code, text = run(999999, zuleika.pk)
    assert code == 2
    assert "There is no user 999999." in text
    assert scan.in_postgresql(EMAIL, NAME) == []
