"""(1) What changes users: each command is one transaction, returns the user as it stands and raises `users.errors`.

A command that would change nothing writes nothing. `expected_version` refuses to decide on a state that has passed.
"""

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from knox.models import AuthToken

from users.constraints import refused_if_taken
from users.errors import (
    EmailTaken,
    InvalidCountry,
    InvalidEmail,
    InvalidName,
    UserNotFound,
    WeakPassword,
    WrongPassword,
)
from users.models import User, normalise_email
from users.text import clean_text, is_readable
from users.versions import change, require_version

# RFC 2606 keeps .invalid from ever being delivered to; imported and erased users live there, so nobody may claim it.
RESERVED_DOMAIN = ".invalid"
# argon2 hashes any length, but the time of a request should not depend on what a stranger sends.
LONGEST_PASSWORD = 128
EMAIL_IS_UNIQUE = "users_user_email_key"


def register_user(*, email: str, name: str, password: str, country: str = "") -> User:
    """A user exists who can sign in. Raises EmailTaken, InvalidEmail, InvalidName, InvalidCountry, WeakPassword."""
    user = User(
        email=_checked_email(email),
        name=clean_text(name, "name", 200, InvalidName),
        country=clean_text(country, "country", 60, InvalidCountry, may_be_empty=True),
    )
    _check_password(password, user)
    user.set_password(password)
    with refused_if_taken(EMAIL_IS_UNIQUE, EmailTaken()):
        user.save(force_insert=True)
    return user


@transaction.atomic
def rename_user(*, user_id: int, name: str, expected_version: int | None = None) -> User:
    """The user has this name. Raises UserNotFound, StaleVersion, InvalidName."""
    name = clean_text(name, "name", 200, InvalidName)
    return change(locked(user_id, expected_version), name=name)


def change_email(*, user_id: int, email: str, expected_version: int | None = None) -> User:
    """The user signs in with this e-mail. Raises UserNotFound, StaleVersion, InvalidEmail, EmailTaken."""
    email = _checked_email(email)
    with refused_if_taken(EMAIL_IS_UNIQUE, EmailTaken()):
        return change(locked(user_id, expected_version), email=email)


@transaction.atomic
def confirm_password(*, user_id: int, password: str, expected_version: int | None = None) -> None:
    """The password is the user's, and stays so until the transaction ends. Raises UserNotFound, StaleVersion,
    WrongPassword.
    """
    if not check_password(password, locked(user_id, expected_version).password):
        raise WrongPassword


@transaction.atomic
def change_password(*, user_id: int, password: str, kept_digest: str) -> User:
    """The user signs in with this password; of their tokens the one with this hash goes on, the others end.

    Raises UserNotFound, WeakPassword.
    """
    user = locked(user_id, None)
    _check_password(password, user)
    AuthToken.objects.filter(user=user).exclude(digest=kept_digest).delete()
    return change(user, password=make_password(password))


@transaction.atomic
def deactivate_user(*, user_id: int, expected_version: int | None = None) -> User:
    """The user can't sign in nor order, and is signed out everywhere. Raises UserNotFound, StaleVersion."""
    user = locked(user_id, expected_version)
    AuthToken.objects.filter(user=user).delete()
    return change(user, is_active=False)


@transaction.atomic
def reactivate_user(*, user_id: int, expected_version: int | None = None) -> User:
    """The user can sign in and order again. Raises UserNotFound, StaleVersion."""
    return change(locked(user_id, expected_version), is_active=True)


def locked(user_id: int, expected_version: int | None) -> User:
    """The user, whose row nobody else changes until the transaction ends. Raises UserNotFound, StaleVersion."""
    # NO KEY: orders being placed hold the row's key through their foreign key and need not wait.
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None:
        raise UserNotFound(user_id)
    require_version(user, expected_version)
    return user


def _checked_email(email: str) -> str:
    email = normalise_email(email)
    try:
        validate_email(email)
    except ValidationError as error:
        raise InvalidEmail("That is not an e-mail address.") from error
    if len(email) > 254 or not is_readable(email):
        raise InvalidEmail("That is not an e-mail address.")
    if email.endswith(RESERVED_DOMAIN):
        raise InvalidEmail(f"No mail reaches {RESERVED_DOMAIN}; nobody can register there.")
    return email


def _check_password(password: str, user: User) -> None:
    if len(password) > LONGEST_PASSWORD or not is_readable(password):
        raise WeakPassword([f"A password has at most {LONGEST_PASSWORD} characters, none of them control characters."])
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise WeakPassword(list(error.messages)) from error
