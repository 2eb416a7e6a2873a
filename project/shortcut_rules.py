"""What the shortcut answers, in front of Django and inside: which views, which requests, and what to whom."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from rest_framework.exceptions import APIException
from rest_framework.settings import api_settings

from project.first_look import Look
from readmodels.api import ANY_JSON
from readmodels.errors import ReadModelError
from readmodels.query import Answer, Key, at_once
from readmodels.views import DocumentView
from users.authentication import anonymous, granted

# What each view has of these as settings say; one with its own answers by itself.
GUARDS = ("authentication_classes", "permission_classes", "throttle_classes", "renderer_classes")


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
    # One by one, since an environ holds the whole environment of the process.
    return (
        environ["REQUEST_METHOD"] == "GET"
        and not environ.get("QUERY_STRING")
        and not environ.get("SCRIPT_NAME")
        and environ.get("HTTP_ACCEPT", "*/*") in ANY_JSON
        and environ["PATH_INFO"].isascii()
        and "HTTP_CONSISTENCY_TOKEN" not in environ
        and "HTTP_PREFER" not in environ
        and "HTTP_CACHE_CONTROL" not in environ
        and "HTTP_COOKIE" not in environ
    )


def found(view: DocumentView, key: Key, looked: Look) -> Answer | None:
    """The document that the asker may read; None: that there is none, or may be none, is for the view to say."""
    token, seen = looked.asker.token, looked.seen
    try:
        principal = granted(token.digest, seen[1]) if token.digest else anonymous()
        answer = at_once(view.read_model, seen[0])
        if answer is None or principal.user_id != token.user_id:  # then the limits of another were taken
            return None
        return answer if view.may_read(principal, key, answer.body or b"") else None
    except (ReadModelError, APIException):
        return None


def public_seconds(view: DocumentView) -> int | None:
    """How long shared stores may keep an answer; None: they may not."""
    return view.public_seconds if "GET" in view.public_methods else None
