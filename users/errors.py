"""Why a command can say no. A refused command changed nothing; asking again unchanged gets the same answer.

`Refused` and `StaleVersion` serve every app; the others are the users' own.
"""

from enum import StrEnum
from typing import Any, ClassVar


class Kind(StrEnum):
    """What a refusal means to the caller: an interface maps these few and needs no list of the classes."""

    INVALID = "invalid"  # the input can never be accepted
    NOT_FOUND = "not_found"  # what the command is about does not exist
    CONFLICT = "conflict"  # the input is fine, the present state is not
    STALE = "stale"  # the caller decided on an older version of the row


class Refused(Exception):
    """A command said no. `code` names the reason to programs, `detail` tells people, `facts` carries the values."""

    kind: ClassVar[Kind]
    code: ClassVar[str]
    field: ClassVar[str | None] = None  # the argument at fault, where it is one

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts  # what JSON can hold; the same values are plain attributes
        vars(self).update(facts)


class StaleVersion(Refused):
    """The row has moved on since the version that the caller saw."""

    kind = Kind.STALE
    code = "stale_version"
    found: int
    expected: int

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(f"Version {expected} was expected, but it is {found} now.", found=found, expected=expected)


class UserError(Refused):
    """A command on users said no."""


class UserNotFound(UserError):
    """No user has this id."""

    kind = Kind.NOT_FOUND
    code = "user_not_found"
    user_id: int

    def __init__(self, user_id: int) -> None:
        super().__init__(f"There is no user {user_id}.", user_id=user_id)


class EmailTaken(UserError):
    """Another user has this e-mail, perhaps in another case."""

    kind = Kind.CONFLICT
    code = "email_taken"
    field = "email"

    def __init__(self) -> None:
        super().__init__("Another user has this e-mail.")


class InvalidEmail(UserError):
    """The e-mail can't be one, or lies in a domain kept for users nobody can write to."""

    kind = Kind.INVALID
    code = "invalid_email"
    field = "email"


class InvalidName(UserError):
    """The name is empty, too long or holds control characters."""

    kind = Kind.INVALID
    code = "invalid_name"
    field = "name"


class InvalidCountry(UserError):
    """The country is too long or holds control characters."""

    kind = Kind.INVALID
    code = "invalid_country"
    field = "country"


class WeakPassword(UserError):
    """The password is too easily guessed, or can't be one; `problems` says each reason."""

    kind = Kind.INVALID
    code = "weak_password"
    field = "password"
    problems: list[str]

    def __init__(self, problems: list[str]) -> None:
        super().__init__(" ".join(problems), problems=problems)


class WrongPassword(UserError):
    """The password that was to prove who asks is not the user's."""

    kind = Kind.INVALID
    code = "wrong_password"
    field = "current_password"

    def __init__(self) -> None:
        super().__init__("That is not the account's password.")
