"""Proof that whoever holds a token knows the password too; wrong ones count like those at log-in."""

from django.http import HttpRequest

from users.commands import confirm_password
from users.guesses import guess


def prove(request: HttpRequest, user_id: int, password: str, expected_version: int | None = None) -> None:
    """The password is the user's, and stays so until the transaction ends.

    Raises UserNotFound, StaleVersion, WrongPassword, TooManyGuesses. While attempts can't be counted, they may be made.
    """
    attempt = guess(request, f"user {user_id}", is_open=True)
    confirm_password(user_id=user_id, password=password, expected_version=expected_version)
    attempt.succeeded()
