"""(0) POST and PATCH on users and their access: parse, call a command, answer with a consistency token."""

from django.urls import reverse
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from readmodels.consistency import Token
from readmodels.errors import NotYet, ReadModelError
from readmodels.query import reader
from users.access import Access, sign_in, sign_out, sign_out_everywhere
from users.authentication import Principal, principal_of
from users.command_http import CommandView, IfMatch, expected_version, one_command, parsed
from users.command_openapi import documented
from users.commands import change_email, deactivate_user, register_user, rename_user
from users.erasure import complete, erase_customer
from users.guesses import guess
from users.models import User
from users.permissions import require_self_or_support
from users.proof import prove
from users.readmodels.access_grant import AccessGrant
from users.serializers import (
    AccessState,
    ChangeUserInput,
    EraseInput,
    LogInInput,
    NoInput,
    ReceiptState,
    RegisterInput,
    UserState,
)

# Commit to visible takes some 10 ms; whoever logs in while a backlog is worked off waits this long at the most.
LOG_IN_WAIT_SECONDS = 5.0


class UserRegistration(CommandView):
    """Registering, open to all."""

    public_methods = frozenset({"POST"})

    @documented("register_user", RegisterInput, UserState, status=201, is_public=True)
    def post(self, request: Request) -> Response:
        """A user exists who can log in."""
        wanted = parsed(RegisterInput, request)
        with one_command(request) as done:
            user = register_user(**wanted)
            return done.answer(UserState(user).data, 201, reverse("user", args=[user.pk]), about=user.pk)


class UserCommands(CommandView):
    """Changing a user, by themselves and support."""

    if_match = IfMatch.FOREIGN

    @documented("change_user", ChangeUserInput, UserState, if_match=if_match)
    def patch(self, request: Request, user_id: int) -> Response:
        """The user has this name and e-mail; one's own e-mail is changed with the password, at /api/account/email."""
        require_self_or_support(principal_of(request), user_id)
        is_own = principal_of(request).user_id == user_id
        wanted = parsed(ChangeUserInput, request)
        if is_own and "email" in wanted:
            # Whoever signs in by it owns the account: a token alone, perhaps a stolen one, must not move it.
            raise ValidationError({"email": ["Your own e-mail is changed with your password, at /api/account/email."]})
        version = expected_version(request, self.if_match, is_own=is_own)
        with one_command(request) as done:
            _require_no_peer(principal_of(request), user_id)
            # The first of the two locks the row, so the version that it was held against stands for both.
            if "name" in wanted:
                user = rename_user(user_id=user_id, name=wanted["name"], expected_version=version)
                version = None
            if "email" in wanted:
                user = change_email(user_id=user_id, email=wanted["email"], expected_version=version)
            return done.answer(UserState(user).data, about=user_id)


class UserDeactivation(CommandView):
    """Closing an account, by its user and support."""

    @documented("deactivate_user", NoInput, UserState)
    def post(self, request: Request, user_id: int) -> Response:
        """The user can't log in nor order, and is logged out everywhere."""
        require_self_or_support(principal_of(request), user_id)
        parsed(NoInput, request)
        version = expected_version(request)
        with one_command(request) as done:
            _require_no_peer(principal_of(request), user_id)
            user = deactivate_user(user_id=user_id, expected_version=version)
            return done.answer(UserState(user).data, about=user_id)


class UserErasure(CommandView):
    """Erasing a person, by themselves with their password, and by support; of staff by superusers."""

    # Repeated, it answers with the receipt as it is by then; so no answer is kept under a key.
    @documented("erase_customer", EraseInput, ReceiptState, has_version=False, is_repeatable=False)
    def post(self, request: Request, user_id: int) -> Response:
        """Nothing says who the user was: neither tables nor read models. Their orders stay. Answers with a receipt.

        `completed_at` is null where a server failed meanwhile; asked again, the rest is done. `left` and `unlooked`
        name where something was still found at the last look, and what could not be looked at.
        """
        require_self_or_support(principal_of(request), user_id)
        wanted = parsed(EraseInput, request)
        with one_command(request, is_repeatable=False) as done:
            _require_may_erase(request, user_id, wanted.get("current_password"))
            erased = erase_customer(user_id=user_id, by=principal_of(request).user_id)
        return done.answer(ReceiptState(complete(erased)).data)


class LogIn(CommandView):
    """Logging in, open to all."""

    public_methods = frozenset({"POST"})

    @documented("log_in", LogInInput, AccessState, has_version=False, is_public=True, is_repeatable=False)
    def post(self, request: Request) -> Response:
        """A token that queries and commands take from now on."""
        wanted = parsed(LogInInput, request)
        attempt = guess(request, wanted["email"])
        with one_command(request, is_repeatable=False) as done:
            access = sign_in(**wanted)
        if access is None:
            raise AuthenticationFailed("E-mail or password is wrong.")
        attempt.succeeded()
        _require_usable(access, done.tokens)
        response = done.answer(AccessState(access).data)
        response["Cache-Control"] = "no-store"
        return response


class LogOut(CommandView):
    """Logging out here."""

    @documented("log_out", NoInput, None, status=204, has_version=False)
    def post(self, request: Request) -> Response:
        """The token that the request came with opens nothing any more."""
        parsed(NoInput, request)
        with one_command(request) as done:
            sign_out(digest=str(request.auth))
            return done.answer(None)


class LogOutEverywhere(CommandView):
    """Logging out on every device."""

    @documented("log_out_everywhere", NoInput, None, status=204, has_version=False)
    def post(self, request: Request) -> Response:
        """None of the user's tokens opens anything any more."""
        parsed(NoInput, request)
        with one_command(request) as done:
            sign_out_everywhere(digest=str(request.auth))
            return done.answer(None)


def _require_no_peer(principal: Principal, user_id: int) -> None:
    """Support change customers; other staff are a superuser's to change, or one could take over the other's account."""
    is_own = principal.user_id == user_id
    if not is_own and not principal.is_superuser and User.objects.filter(pk=user_id, is_staff=True).exists():
        raise PermissionDenied("Only a superuser may change other staff.")


def _require_may_erase(request: Request, user_id: int, password: str | None) -> None:
    """Nothing brings an account back, so a token alone, which may have been stolen, does not erase its own."""
    principal = principal_of(request)
    user = User.objects.filter(pk=user_id).first()
    if user is not None and user.is_staff and not principal.is_superuser:
        raise PermissionDenied("Only a superuser may erase staff.")
    if principal.user_id != user_id:
        if password is not None:
            raise ValidationError({"current_password": ["Only for one's own account."]}, code="unexpected")
    elif password is None:
        raise ValidationError({"current_password": ["Needed to erase one's own account."]}, code="required")
    else:
        prove(request, user_id, password)


def _require_usable(access: Access, tokens: tuple[Token, ...]) -> None:
    """Queries know the grant; one that can't be used in time is taken back, and the reason raised."""
    try:
        grant = reader().document(AccessGrant, access.digest, token=tokens, wait_seconds=LOG_IN_WAIT_SECONDS)
        if grant.body is None:
            raise NotYet("the grant is not there")
    except ReadModelError:
        sign_out(digest=access.digest)
        raise
