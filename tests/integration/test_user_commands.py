"""Commands on users, through their public functions, on a real PostgreSQL."""

from functools import partial

import pytest
from django.contrib.auth import authenticate
from django.db import IntegrityError, connection, transaction
from knox.models import AuthToken

from tests.threads import at_once
from users import commands, errors
from users.erasure import erase_customer
from users.models import User

PASSWORD = "horse-staple-battery"


@pytest.fixture
def ada(db):
    return commands.register_user(email="Ada@Example.com", name="Ada", password=PASSWORD, country="United Kingdom")


def test_registered_user_signs_in_in_any_case(ada):
    assert authenticate(username="ADA@example.COM", password=PASSWORD) == ada
    assert (ada.email, ada.version) == ("ada@example.com", 1)


def test_passwords_are_kept_as_argon2(ada):
    assert ada.password.startswith("argon2")


def test_second_registration_of_an_email_is_refused(ada):
    with pytest.raises(errors.EmailTaken):
        commands.register_user(email="ADA@example.com", name="Another", password=PASSWORD)
    assert User.objects.count() == 1


@pytest.mark.parametrize("email", ["", "ada", "ada@", "a" * 250 + "@example.com", "a\x00@example.com", "a\ud800@b.com"])
def test_what_is_no_email_is_refused(db, email):
    with pytest.raises(errors.InvalidEmail):
        commands.register_user(email=email, name="Ada", password=PASSWORD)


def test_nobody_registers_where_imported_users_live(db):
    with pytest.raises(errors.InvalidEmail):
        commands.register_user(email="customer-17850@import.invalid", name="Ada", password=PASSWORD)


@pytest.mark.parametrize("name", ["", "   ", "x" * 201, "A\x00da", "A\ud800", "A\nda"])
def test_unreadable_names_are_refused(ada, name):
    with pytest.raises(errors.InvalidName):
        commands.rename_user(user_id=ada.pk, name=name)


@pytest.mark.parametrize("password", ["short", "12345678901", "password", "x" * 129, "nul\x00-nul-nul-nul"])
def test_weak_passwords_are_refused_with_reasons(db, password):
    with pytest.raises(errors.WeakPassword) as refusal:
        commands.register_user(email="ada@example.com", name="Ada", password=password)
    assert refusal.value.problems


def test_country_that_is_too_long_is_refused(db):
    with pytest.raises(errors.InvalidCountry):
        commands.register_user(email="ada@example.com", name="Ada", password=PASSWORD, country="x" * 61)


def test_each_change_raises_the_version(ada):
    commands.rename_user(user_id=ada.pk, name="Ada Lovelace")
    commands.change_email(user_id=ada.pk, email="lovelace@example.com")
    commands.deactivate_user(user_id=ada.pk)
    user = commands.reactivate_user(user_id=ada.pk)
    user.refresh_from_db()
    assert (user.version, user.name, user.email, user.is_active) == (5, "Ada Lovelace", "lovelace@example.com", True)


def test_command_that_changes_nothing_writes_nothing(ada, django_assert_num_queries):
    with django_assert_num_queries(3):  # savepoint, the locking read, release
        user = commands.rename_user(user_id=ada.pk, name="Ada")
    assert user.version == 1


def test_stale_version_is_refused(ada):
    commands.rename_user(user_id=ada.pk, name="Ada Lovelace", expected_version=1)
    with pytest.raises(errors.StaleVersion) as refusal:
        commands.rename_user(user_id=ada.pk, name="Countess", expected_version=1)
    assert refusal.value.facts == {"found": 2, "expected": 1}


@pytest.mark.parametrize("user_id", [0, -1, 10**30])
def test_unknown_user_is_not_found(db, user_id):
    with pytest.raises(errors.UserNotFound):
        commands.rename_user(user_id=user_id, name="Ada")


def test_email_of_another_user_can_not_be_taken_over(ada):
    bob = commands.register_user(email="bob@example.com", name="Bob", password=PASSWORD)
    with pytest.raises(errors.EmailTaken):
        commands.change_email(user_id=bob.pk, email="Ada@example.com")
    bob.refresh_from_db()
    assert (bob.email, bob.version) == ("bob@example.com", 1)


def test_deactivation_signs_out_everywhere(ada):
    AuthToken.objects.create(user=ada)
    commands.deactivate_user(user_id=ada.pk)
    assert not AuthToken.objects.filter(user=ada).exists()
    assert authenticate(username=ada.email, password=PASSWORD) is None


def test_erasure_leaves_nothing_of_the_person(ada):
    AuthToken.objects.create(user=ada)
    erase_customer(user_id=ada.pk)
    with connection.cursor() as cursor:
        cursor.execute("SELECT users_user::text FROM users_user")
        (row,) = cursor.fetchone()
    assert "Ada" not in row
    assert "ada@" not in row
    assert "Kingdom" not in row
    assert not AuthToken.objects.exists()


def test_second_erasure_changes_nothing(ada):
    version = erase_customer(user_id=ada.pk).user.version
    assert erase_customer(user_id=ada.pk).user.version == version


@pytest.mark.parametrize("values", [{"email": "Upper@example.com"}, {"name": ""}])
def test_database_refuses_what_commands_would(ada, values):
    with pytest.raises(IntegrityError), transaction.atomic():
        User.objects.update(**values)


@pytest.mark.django_db(transaction=True)
def test_of_two_registrations_at_once_one_wins():
    register = partial(commands.register_user, email="ada@example.com", name="Ada", password=PASSWORD)
    outcomes = at_once(register, register)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EmailTaken", "User"]
    assert User.objects.count() == 1
