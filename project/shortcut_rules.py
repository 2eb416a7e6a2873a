"""What the shortcut answers, in front of Django and inside: which views, which requests, and what to whom."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from rest_framework.exceptions import APIException
from rest_framework.settings import api_settings

from project.first_look import Question
from readmodels.api import ANY_JSON
from readmodels.errors import ReadModelError
from readmodels.query import Answer, Seen
from readmodels.views import DocumentView
from users.authentication import anonymous, granted

# What each view has of these as settings say; one with its own answers by itself.
GUARDS = ("authentication_classes", "permission_classes", "throttle_classes", "renderer_classes")
# Headers that change an answer in ways that are not known here; a cookie may be given another.
STRANGE = {"HTTP_CONSISTENCY_TOKEN", "HTTP_PREFER", "HTTP_CACHE_CONTROL", "HTTP_COOKIE"}


def is_of_a_document(view: Any) -> bool:
    """Whether a view answers with the document whose key is in the address."""
    return isinstance(view, type) and issubclass(view, DocumentView) and view.key_of is DocumentView.key_of


@cache
def is_as_all_are(view: type[DocumentView]) -> bool:
    """Whether it answers as DocumentView does, and is guarded as settings say."""
    defaults = {name: getattr(api_settings, f"DEFAULT_{name.upper()}") for name in GUARDS}
    is_guarded = all(getattr(view, name) == classes for name, classes in defaults.items())
    return is_guarded and all(getattr(view, name) is getattr(DocumentView, name) for name in ("get", "look", "etag"))


def is_plain(environ: Mapping[str, Any]) -> bool:
    """Whether a request asks for nothing but the document itself, as JSON."""
    return (
        environ["REQUEST_METHOD"] == "GET"
        and not environ.get("QUERY_STRING")
        and not environ.get("SCRIPT_NAME")
        and environ.get("HTTP_ACCEPT", "*/*") in ANY_JSON
        and environ["PATH_INFO"].isascii()
        and STRANGE.isdisjoint(environ)
    )


def found(view: DocumentView, asked: Question, seen: list[Seen]) -> Answer | None:
    """The document that the asker may read; None: that there is none, or may be none, is for the view to say."""
    try:
        principal = granted(asked.grant, seen[1]) if asked.grant else anonymous()
        if principal.user_id != asked.user_id:  # so the limits of another were taken
            return None
        answer = view.look(principal, asked.key, seen[0])
    except (ReadModelError, APIException):
        return None
    return None if answer.body is None else answer


def public_seconds(view: DocumentView) -> int | None:
    """How long shared stores may keep an answer; None: they may not."""
    return view.public_seconds if "GET" in view.public_methods else None
