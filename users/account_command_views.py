"""(0) POST on one's own account. What moves the account to other hands wants the password: a token may be stolen."""

from rest_framework.exceptions import NotAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from users.authentication import principal_of
from users.command_http import CommandView, expected_version, one_command, parsed
from users.command_openapi import documented
from users.commands import change_email, change_password
from users.proof import prove
from users.serializers import ChangeEmailInput, ChangePasswordInput, UserState


class AccountPassword(CommandView):
    """Changing one's password."""

    @documented("change_password", ChangePasswordInput, UserState)
    def post(self, request: Request) -> Response:
        """The user signs in with the new password; their other tokens have ended, the one of this request goes on."""
        user_id = _own_id(request)
        wanted, version = parsed(ChangePasswordInput, request), expected_version(request)
        with one_command(request) as done:
            prove(request, user_id, wanted["current_password"], version)
            user = change_password(user_id=user_id, password=wanted["password"], kept_digest=str(request.auth))
            return done.answer(UserState(user).data, about=user_id)


class AccountEmail(CommandView):
    """Changing one's e-mail."""

    @documented("change_email", ChangeEmailInput, UserState)
    def post(self, request: Request) -> Response:
        """The user signs in with this e-mail; their tokens go on."""
        user_id = _own_id(request)
        wanted, version = parsed(ChangeEmailInput, request), expected_version(request)
        with one_command(request) as done:
            prove(request, user_id, wanted["current_password"], version)
            user = change_email(user_id=user_id, email=wanted["email"])
            return done.answer(UserState(user).data, about=user_id)


def _own_id(request: Request) -> int:
    user_id = principal_of(request).user_id
    if user_id is None:  # not met: these views have no public method
        raise NotAuthenticated
    return user_id
