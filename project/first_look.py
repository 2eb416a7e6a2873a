"""One round trip for what a query of one document needs: the grant of its token, the limits of who asks, the document.

Who asks is not known before the grant is read, but whose token it was when this process last met it is, and a token
never changes hands. What is read ahead is used by whoever would have read it; what was taken from limits that turn out
to be another's is given back.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from knox.crypto import hash_token
from rest_framework.exceptions import APIException

from project import rate_limit
from readmodels import limits
from readmodels.conf import conf
from readmodels.declare import Document
from readmodels.errors import ReadModelError
from readmodels.limits import Limit, Taken
from readmodels.query import Key, Seen, key_text, reader
from readmodels.views import DocumentView
from users.addresses import client_address
from users.authentication import owner_met, token_of
from users.readmodels.access_grant import AccessGrant


@dataclass(frozen=True)
class Question:
    """What is asked for, by whom as far as the token's text says, and what it takes."""

    of: type[Document]
    key: Key
    grant: str | None  # the token's hash; None where nobody is asked who they are
    user_id: int | None
    limits: Sequence[Limit]


def question(view: DocumentView | type[DocumentView], key: Key, meta: Mapping[str, Any]) -> Question | None:
    """The question of a GET (a request's META, or a WSGI environ); None: it is not known who asks."""
    grant, user_id = None, None
    if "GET" not in view.public_methods:
        with suppress(APIException):
            grant = _digest(meta.get("HTTP_AUTHORIZATION", ""))
        user_id = owner_met(grant) if grant else None
        if user_id is None:
            return None
    limits = rate_limit.limits_of("queries", user_id, client_address(meta))
    return Question(view.read_model, key, grant, user_id, limits)


def look(asked: Question) -> tuple[list[Seen], Taken]:
    """(what is stored of the document and of the grant, what was taken)."""
    wanted: list[tuple[type[Document], Key]] = [(asked.of, asked.key)]
    if asked.grant:
        wanted.append((AccessGrant, asked.grant))
    calls = [limits.take_call(asked.limits)] if asked.limits else []
    seen, answers = reader().see(wanted, calls)
    return seen, limits.taken(asked.limits, answers[0]) if answers else Taken(True, (), 0)


class Middleware:
    """Looks ahead for views of one document."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Called for each request."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, address: dict[str, Any]) -> None:
        """Called when it is known which view answers."""
        of: Any = getattr(view, "cls", None)
        if request.method != "GET" or not is_plain(of) or conf().limits_url:
            return
        asked = question(of, address[of.key], request.META)
        if asked is None or limits.patience.is_closed:
            return
        with suppress(ReadModelError):  # whoever reads it then says so
            seen, taken = look(asked)
            ahead = [(asked.of, key_text(asked.key)), (AccessGrant, asked.grant)]
            request.seen_ahead = dict(zip(ahead, seen, strict=False))  # type: ignore[attr-defined]
            request.taken_ahead = taken  # type: ignore[attr-defined]


def is_plain(view: Any) -> bool:
    """Whether a view answers with the document whose key is in the address."""
    return isinstance(view, type) and issubclass(view, DocumentView) and view.key_of is DocumentView.key_of


def _digest(authorization: str) -> str | None:
    token = token_of(authorization)
    return hash_token(token) if token else None
