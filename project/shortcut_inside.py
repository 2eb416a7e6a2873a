"""The same shortcut inside of Django, after all other middleware: where some is configured that the one in front does
not know.
"""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from project.env import Shortcut
from project.first_look import look
from project.shortcut_rules import found, is_as_all_are, is_of_a_document, is_plain, public_seconds
from readmodels import http
from readmodels.query import Answer, key_text
from readmodels.views import DocumentView
from users.readmodels.access_grant import AccessGrant


class Middleware:
    """What is known is answered without REST framework; for all else the look was taken, and who would read uses it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Called for each request."""
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Any, args: Any, address: dict[str, Any]) -> HttpResponse | None:
        """Called when it is known which view answers."""
        of: Any = getattr(view, "cls", None)
        if request.method != "GET" or not is_of_a_document(of):
            return None
        key = address[of.key]
        looked = look(of, key, request.META)
        if looked is None:
            return None
        taken = looked.taken
        if settings.SHORTCUT is not Shortcut.OFF and taken.is_taken and is_plain(request.META) and is_as_all_are(of):
            made = of()
            if answer := found(made, key, looked):
                request.rate_taken = taken  # type: ignore[attr-defined]
                return _response(request, made, answer)
        ahead = [(of.read_model, key_text(key)), (AccessGrant, looked.asker.token.digest)]
        request.seen_ahead = dict(zip(ahead, looked.seen, strict=False))  # type: ignore[attr-defined]
        request.taken_ahead = taken  # type: ignore[attr-defined]
        return None


def _response(request: HttpRequest, view: DocumentView, answer: Answer) -> HttpResponse:
    body = answer.body or b""
    return http.respond(request, body, view.etag(answer), answer.freshness, {}, public_seconds(view))
