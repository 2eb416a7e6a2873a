"""Who a request comes from: an opaque bearer token, looked up by its hash.

Queries find it in the read model AccessGrant and touch no table; commands find it in the table itself, so that nobody
writes on a grant that has ended.
"""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from readmodels.errors import NotBuilt
from readmodels.query import Answer, Seen, reader, seen_ahead
from users.readmodels.access_grant import AccessGrant

SCHEME = "Bearer"
ROLES = ("is_staff", "is_superuser", "is_support", "is_catalogue")
MOST_MET = 10_000
TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,200}")


@dataclass(frozen=True)
class Principal:
    """Who asks, as views and permissions know them; the same on both sides, and not a row of a table."""

    user_id: int | None
    is_staff: bool = False
    is_superuser: bool = False
    # A superuser has every role.
    is_support: bool = False
    is_catalogue: bool = False

    @property
    def is_authenticated(self) -> bool:
        """Whether anybody signed in."""
        return self.user_id is not None


def principal_of(request: Request) -> Principal:
    """Who asks; REST framework's own types know only rows of the users' table."""
    return cast(Principal, request.user)


def anonymous() -> Principal:
    """Somebody who did not say who they are; called by REST framework."""
    return Principal(user_id=None)


class Met(NamedTuple):
    """A token by its hash, and whose it is; None, None where nobody is asked for one."""

    digest: str | None
    user_id: int | None


ANYBODY = Met(None, None)

# By a hash of the header, which is nothing to be kept itself.
_tokens_met: dict[bytes, Met] = {}


class BearerToken(BaseAuthentication):
    """`request.user` is a Principal and `request.auth` the token's hash; called once per request that is not public."""

    def authenticate(self, request: Request) -> tuple[Principal, str] | None:
        """(principal, hash), or None without a token; raises AuthenticationFailed, StoreUnavailable and the like."""
        token = token_of(request.META.get("HTTP_AUTHORIZATION", ""))
        if token is None:
            return None
        return _granted(request, token) if request.method in SAFE_METHODS else _in_table(token)

    def authenticate_header(self, request: Request) -> str:
        """The WWW-Authenticate of a 401."""
        return SCHEME


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes it in the API document."""

    target_class = BearerToken
    name = "bearer"

    def get_security_definition(self, auto_schema: object) -> dict[str, str]:
        """The scheme as OpenAPI writes it."""
        return {"type": "http", "scheme": "bearer", "description": "The token that POST /api/auth/login answers with."}


def token_of(authorization: str) -> str | None:
    """The token in this header; None: it is of another scheme. Raises AuthenticationFailed for what can't be one."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != SCHEME.lower():
        return None
    if not TOKEN.fullmatch(token):
        raise AuthenticationFailed
    return token


def _granted(request: Request, token: str) -> tuple[Principal, str]:
    digest = hash_token(token)
    principal = granted(digest, seen_ahead(request, AccessGrant, digest))
    _met(request.META["HTTP_AUTHORIZATION"], Met(digest, principal.user_id))
    return principal, digest


def granted(digest: str, seen: Seen | None = None) -> Principal:
    """Who holds the token of this hash; `seen`: what was read of its grant already. Raises AuthenticationFailed where
    there is none that holds, NotBuilt, and whatever a reader raises.
    """
    principal, expires_at = _seen_grant(digest, seen) if seen else _grant(digest)
    if principal is None or _is_over(expires_at):
        raise AuthenticationFailed
    return principal


def _grant(digest: str, seen: Seen | None = None) -> tuple[Principal | None, float | None]:
    """(who holds it, None: nobody; until when)."""
    answer = reader().document(AccessGrant, digest, seen=seen)
    if answer.freshness.is_stale:  # its newest state could not be made, and may be that it has ended
        raise NotBuilt("the grant is parked")
    return _holder(answer)


# What was seen says all: whoever sees the same again need not judge it anew.
_seen_grant = lru_cache(maxsize=4096)(_grant)


def met(authorization: str) -> Met | None:
    """The token in this header, if this process has found it to hold before. Whether it still does is another question;
    it never goes to another user.
    """
    return _tokens_met.get(_mark(authorization))


def _met(authorization: str, token: Met) -> None:
    if len(_tokens_met) >= MOST_MET:
        _tokens_met.clear()
    _tokens_met[_mark(authorization)] = token


def _mark(authorization: str) -> bytes:
    return blake2b(authorization.encode()).digest()


def granted_now(grants: Sequence[str]) -> dict[str, Principal | None]:
    """What each of these (hashes) allows now, None where it has ended; one of which nothing can be said is left out.

    Raises StoreUnavailable where nothing can be said of any.
    """
    answers = reader().sayable(AccessGrant, grants)
    held = {digest: _holder(answer) for digest, answer in answers.items() if not answer.freshness.is_stale}
    return {digest: None if _is_over(expires_at) else principal for digest, (principal, expires_at) in held.items()}


def _holder(answer: Answer) -> tuple[Principal | None, float | None]:
    grant = json.loads(answer.body) if answer.body else None
    if grant is None or not grant["is_active"]:
        return None, None
    expires_at = grant["expires_at"] and datetime.fromisoformat(grant["expires_at"]).timestamp()
    return _principal(**{name: grant[name] for name in ("user_id", *ROLES)}), expires_at


def _is_over(expires_at: float | None) -> bool:
    return expires_at is not None and expires_at <= time.time()


def _in_table(token: str) -> tuple[Principal, str]:
    user, row = TokenAuthentication().authenticate_credentials(token.encode())
    return _principal(user_id=user.pk, **{name: getattr(user, name) for name in ROLES}), row.digest


def _principal(user_id: int, is_superuser: bool, is_staff: bool, is_support: bool, is_catalogue: bool) -> Principal:
    return Principal(user_id, is_staff, is_superuser, is_support or is_superuser, is_catalogue or is_superuser)
