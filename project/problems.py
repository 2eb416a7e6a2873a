"""Errors as problem details (RFC 9457): every error of the API has this one form, given to it here and nowhere else.

`type` and `code` are stable names of what went wrong; `detail` is for people; `fields` says which parts of the request
are at fault; `facts` carries the values that a command found.
"""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions

from project.strict_json import TooLarge
from readmodels import http
from readmodels.conf import conf
from readmodels.errors import (
    CannotSay,
    CursorOver,
    NotBuilt,
    NotProjected,
    NotYet,
    ReadModelError,
    StoreUnavailable,
    TooManyStreams,
    TooManyStreamsOfOne,
    TooStale,
    WrongCursor,
    WrongToken,
)
from users.errors import Kind, Refused
from users.guesses import TooManyGuesses
from users.input_faults import input_faults

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
STATUS = {Kind.INVALID: 400, Kind.NOT_FOUND: 404, Kind.CONFLICT: 409, Kind.STALE: 412}
RETRY_SECONDS = 1


@dataclass(frozen=True)
class Problem:
    """One error as the client is told of it. `fields`: {"field", "code", "detail"} per part of the request at fault."""

    status: int
    code: str
    detail: str
    fields: list[dict[str, str]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def respond(self, request: HttpRequest) -> HttpResponse:
        """The problem as a response, which nobody may keep."""
        body: dict[str, Any] = {
            "type": f"urn:problem:{self.code.replace('_', '-')}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "instance": request.path,
            "code": self.code,
        }
        body |= {"fields": self.fields} if self.fields else {}
        body |= {"facts": self.facts} if self.facts else {}
        headers = {"Cache-Control": "no-store", "Vary": "Authorization", **self.headers}
        return JsonResponse(body, status=self.status, content_type=MEDIA_TYPE, headers=headers)


def handle(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """Called by REST framework with what a view raised; None hands it on to Django, which logs it and answers 500."""
    problem = problem_of(error)
    if problem is None:
        return None
    if problem.status >= 500:
        log.warning("unavailable", code=problem.code, path=context["request"].path, reason=str(error))
    return problem.respond(context["request"])


def problem_of(error: Exception) -> Problem | None:
    """The problem that an error is to the client; None: a mistake of this program."""
    if isinstance(error, Refused):
        fields = [_field(error.field, error.code, error.detail)] if error.field else []
        return Problem(STATUS[error.kind], error.code, error.detail, fields, error.facts)
    if isinstance(error, ReadModelError):
        return _of_read_model(error)
    if isinstance(error, TooManyGuesses):
        headers = {"Retry-After": str(error.wait_seconds)}
        return Problem(429, "too_many_requests", str(error), headers=headers)
    if isinstance(error, OperationalError | InterfaceError):
        return _retry_later("database_unavailable", "The database does not answer; nothing is known to be written.")
    if isinstance(error, RequestDataTooBig):
        error = TooLarge()
    if isinstance(error, Http404):
        error = exceptions.NotFound()
    if isinstance(error, PermissionDenied):
        error = exceptions.PermissionDenied()
    return of_rest_framework(error) if isinstance(error, exceptions.APIException) else None


@csrf_exempt  # or Django's own page would answer a POST to nowhere
def not_found(request: HttpRequest, exception: Exception | None = None, **rest: Any) -> HttpResponse:
    """A route that the API does not have, by any method; as handler404 also the other pages' answer."""
    if not _has_problems(request):
        return defaults.page_not_found(request, exception or Http404())
    return Problem(404, "no_such_route", "The API has no such address.").respond(request)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Called by Django for what it refuses before any view."""
    if not _has_problems(request):
        return defaults.bad_request(request, exception)
    return Problem(400, "bad_request", "The request can't be understood.").respond(request)


def server_error(request: HttpRequest) -> HttpResponse:
    """Called by Django after it has logged an error that nobody foresaw."""
    if not _has_problems(request):
        return defaults.server_error(request)
    return Problem(500, "server_error", "Something went wrong here; it has been logged.").respond(request)


def _of_read_model(error: ReadModelError) -> Problem | None:
    if isinstance(error, WrongToken):
        return _wrong(http.CONSISTENCY_TOKEN, "wrong_token", "Not a consistency token of this service.")
    if isinstance(error, WrongCursor):
        return _wrong("cursor", "wrong_cursor", "Not a cursor of this list with these filters.")
    if isinstance(error, CursorOver):
        return Problem(
            410, "cursor_over", "The list was rebuilt since the cursor was issued; begin with the first page."
        )
    if isinstance(error, CannotSay):
        return _retry_later("cannot_say", "The database was replaced since the write that the token names.")
    if isinstance(error, TooStale):
        return _retry_later("too_stale", "The answer does not yet show all that max-stale asks for.")
    if isinstance(error, NotYet):
        return _retry_later("not_yet", "The write is not in the answer yet.")
    if isinstance(error, NotBuilt):
        return _retry_later(
            "not_built", "What is asked for may exist, but could not be built; somebody has to mend it."
        )
    if isinstance(error, StoreUnavailable | NotProjected):
        return _retry_later("read_models_unavailable", "The read models can't be read now.")
    if isinstance(error, TooManyStreams):
        return _retry_later("too_many_streams", "No more live updates can be followed here now.", 10)
    if isinstance(error, TooManyStreamsOfOne):
        detail = f"You follow {conf().live_streams_per_principal} live updates already; end one of them first."
        return Problem(429, "too_many_streams_of_yours", detail, headers={"Retry-After": "10"})
    return _retry_later("try_again", "It could not be done now.") if error.is_transient else None


def of_rest_framework(error: exceptions.APIException) -> Problem:
    """The problem that one of REST framework's own errors is, with the headers that belong to it."""
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = f"{wait:.0f}"
    if isinstance(error, exceptions.ValidationError):
        fields = [_field(*fault) for fault in input_faults(error.detail)]
        named = sorted({each["field"] for each in fields if each["field"]})
        detail = f"Not accepted: {', '.join(named)}." if named else fields[0]["detail"]
        return Problem(400, "invalid_input", detail, fields, headers=headers)
    code = getattr(error.detail, "code", error.default_code)
    return Problem(error.status_code, code, str(error.detail), headers=headers)


def _field(name: str, code: str, detail: str) -> dict[str, str]:
    return {"field": name, "code": code, "detail": detail}


def _wrong(name: str, code: str, detail: str) -> Problem:
    return Problem(400, code, detail, [_field(name, code, detail)])


def _retry_later(code: str, detail: str, seconds: int = RETRY_SECONDS) -> Problem:
    return Problem(503, code, detail, headers={"Retry-After": str(seconds)})


def is_api(request: HttpRequest) -> bool:
    """Whether this is an address of the API, which answers with problems and no pages."""
    return is_api_path(request.path)


def is_api_path(path: str) -> bool:
    """The same by the path alone."""
    return path == "/api" or path.startswith("/api/")


def _has_problems(request: HttpRequest) -> bool:
    return is_api(request) or request.path.startswith("/health/")
