"""In front of Django: the query that is asked most, one document by its key, in one round trip and without a framework.

Its routes are those of the views: every address that ends with the key of a DocumentView. Whatever is not exactly what
is known here goes on to Django as if nothing had been: another method, a parameter, a header that changes an answer, a
token not met before, and all answers but 200 and 304. So the views stay the one reference, and a test holds both to the
same bytes (tests/integration/test_shortcut.py).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import structlog
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware
from django.urls import URLPattern, URLResolver, get_resolver
from knox.crypto import hash_token
from rest_framework.exceptions import APIException
from rest_framework.settings import api_settings

from project import rate_limit, security_headers
from readmodels import http, limits
from readmodels.conf import conf
from readmodels.declare import Document
from readmodels.errors import ReadModelError
from readmodels.limits import Limit, Taken, patience
from readmodels.query import Answer, Key, Seen, reader
from readmodels.store import Store
from readmodels.views import DocumentView
from users.addresses import client_address, comes_from_proxy
from users.authentication import anonymous, granted, owner_met, token_of
from users.readmodels.access_grant import AccessGrant

log = structlog.get_logger()

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Any]
Headers = list[tuple[str, str]]

# What a request may say it accepts. All else is for content negotiation to judge.
ACCEPTED = {"*/*", "application/json", "application/*", "application/json, */*"}
# Headers that change an answer in ways that are not known here; a cookie may be given another.
STRANGE = {"HTTP_CONSISTENCY_TOKEN", "HTTP_PREFER", "HTTP_CACHE_CONTROL", "HTTP_COOKIE"}
# What these do to a query's answer, and nothing else, is done here too; with another in between, Django answers all.
KNOWN_MIDDLEWARE = {
    "readmodels.trace.middleware",
    "project.proxies.middleware",
    "project.security_headers.middleware",
    "django.middleware.security.SecurityMiddleware",
    "project.rate_limit.middleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "project.health.middleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
}
# What each view has of these as settings say; one with its own is answered by Django.
GUARDS = ("authentication", "permission", "throttle", "renderer")


@dataclass(frozen=True)
class Route:
    """The address of one document, but for its key."""

    prefix: str
    view: DocumentView
    converter: Any
    headers: Headers  # that each answer has

    def is_key(self, text: str) -> bool:
        """Whether the route takes this for a key."""
        return re.fullmatch(self.converter.regex, text) is not None

    @property
    def is_public(self) -> bool:
        """Whether nobody is asked who they are."""
        return "GET" in self.view.public_methods

    @property
    def public_seconds(self) -> int | None:
        """How long shared stores may keep an answer; None: they may not."""
        return self.view.public_seconds if self.is_public else None


@dataclass(frozen=True)
class Question:
    """What is asked for, by whom as far as the token's text says, and what it takes."""

    route: Route
    key: Key
    grant: str | None  # the token's hash
    user_id: int | None
    limits: Sequence[Limit]


def in_front_of(django: Application) -> Application:
    """The application with the shortcut before it; the application alone where the settings don't allow for one."""
    if reason := _hindrance():
        log.info("no_shortcut", reason=reason)
        return django
    routes = {route.prefix: route for route in _routes(get_resolver().url_patterns, "/")}

    def answer(environ: Environ, start_response: Callable[..., Any]) -> Any:
        question = _question(environ, routes)
        found = _answer(question, environ.get("HTTP_IF_NONE_MATCH")) if question else None
        if found is None:
            return django(environ, start_response)
        status, headers, body = found
        start_response(status, headers)
        return [body]

    return answer


def _hindrance() -> str | None:
    if not settings.SHORTCUT:
        return "SHORTCUT=0"
    if strange := set(settings.MIDDLEWARE) - KNOWN_MIDDLEWARE:
        return f"not known what these do: {', '.join(sorted(strange))}"
    return "limits are kept elsewhere" if conf().limits_url else None


# The question


def _question(environ: Environ, routes: dict[str, Route]) -> Question | None:
    """What a request asks for; None: not known here."""
    prefix, slash, name = environ["PATH_INFO"].rpartition("/")
    route = routes.get(prefix + slash)
    if route is None or not _is_plain(environ) or not _is_well_addressed(environ):
        return None
    if not route.is_key(name):
        return None
    grant, user_id = None, None
    if not route.is_public:
        with suppress(APIException):
            grant = _digest(environ.get("HTTP_AUTHORIZATION", ""))
        user_id = owner_met(grant) if grant else None
        if user_id is None:
            return None
    limits = rate_limit.limits_of("queries", user_id, client_address(environ))
    return Question(route, route.converter.to_python(name), grant, user_id, limits)


def _is_plain(environ: Environ) -> bool:
    return (
        environ["REQUEST_METHOD"] == "GET"
        and not environ.get("QUERY_STRING")
        and not environ.get("SCRIPT_NAME")
        and environ.get("HTTP_ACCEPT", "*/*") in ACCEPTED
        and environ["PATH_INFO"].isascii()
        and STRANGE.isdisjoint(environ)
    )


def _is_well_addressed(environ: Environ) -> bool:
    """Whether the host is one of ours, and the request came by TLS where that is demanded."""
    return _is_our_host(environ.get("HTTP_HOST", "")) and (not settings.IS_TLS or _is_by_tls(environ))


@lru_cache(maxsize=1024)
def _is_our_host(host: str) -> bool:
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def _is_by_tls(environ: Environ) -> bool:
    if settings.SECURE_PROXY_SSL_HEADER and settings.TRUSTED_PROXIES and comes_from_proxy(environ):
        name, value = settings.SECURE_PROXY_SSL_HEADER
        if name in environ:
            return bool(environ[name] == value)
    return bool(environ.get("wsgi.url_scheme") == "https")


def _digest(authorization: str) -> str | None:
    token = token_of(authorization)
    return hash_token(token) if token else None


# The answer


def _answer(question: Question, if_none_match: str | None) -> tuple[str, Headers, bytes] | None:
    """(status, headers, body); None: it is none that is known here, and nothing was taken for it."""
    taken = None
    try:
        seen, taken = _look(question)
        answer = _found(question, seen) if taken.is_taken else None
    except (ReadModelError, APIException):
        answer = None
    if taken and answer and answer.body is not None:
        return _told(question.route, answer, answer.body, taken, if_none_match)
    if taken and taken.is_taken and question.limits:
        patience.ask(lambda: Store().return_to(question.limits))
    return None


def _look(question: Question) -> tuple[list[Seen], Taken]:
    """(what is stored of the document and of the grant, what was taken), in one round trip."""
    wanted: list[tuple[type[Document], Key]] = [(question.route.view.read_model, question.key)]
    if question.grant:
        wanted.append((AccessGrant, question.grant))
    calls = [limits.take_call(question.limits)] if question.limits else []
    seen, answers = reader().see(wanted, calls)
    return seen, limits.taken(question.limits, answers[0]) if answers else Taken(True, (), 0)


def _found(question: Question, seen: list[Seen]) -> Answer | None:
    """What the asker may read; None: the token is another's than was thought, so the limits of another were taken."""
    principal = granted(question.grant, seen[1]) if question.grant else anonymous()
    if principal.user_id != question.user_id:
        return None
    return question.route.view.look(principal, question.key, seen[0])


def _told(
    route: Route, answer: Answer, body: bytes, taken: Taken, if_none_match: str | None
) -> tuple[str, Headers, bytes]:
    etag = route.view.etag(answer)
    is_known = http.is_known(if_none_match, etag)
    told = http.told(etag, answer.freshness, {}, route.public_seconds)
    own = [] if is_known else [("Content-Type", "application/json")]
    length = [("Content-Length", "0" if is_known else str(len(body)))]
    headers = [*own, *told.items(), *length, *rate_limit.told(taken).items(), *route.headers]
    return ("304 Not Modified", headers, b"") if is_known else ("200 OK", headers, body)


# The routes


def _routes(patterns: Sequence[URLPattern | URLResolver], stem: str) -> Iterator[Route]:
    for each in patterns:
        path = stem + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _routes(each.url_patterns, path)
            continue
        view: Any = getattr(each.callback, "cls", None)
        if _is_of_a_document(view, path):
            prefix = path.partition("<")[0]
            [converter] = each.pattern.converters.values()
            made = view()
            yield Route(prefix, made, converter, _headers(made, prefix))


def _is_of_a_document(view: Any, path: str) -> bool:
    """Whether this address ends with the key of a document that is answered and guarded as all are."""
    return (
        isinstance(view, type)
        and issubclass(view, DocumentView)
        and all(getattr(view, name) is getattr(DocumentView, name) for name in ("get", "key_of", "look", "etag"))
        and all(
            getattr(view, f"{name}_classes") == getattr(api_settings, f"DEFAULT_{name.upper()}_CLASSES")
            for name in GUARDS
        )
        and path.endswith(f":{view.key}>")
        and path.count("<") == 1
    )


def _headers(view: DocumentView, prefix: str) -> Headers:
    """What middleware and REST framework say of each answer of a view."""
    scheme = "https" if settings.IS_TLS else "http"
    request = WSGIRequest({"REQUEST_METHOD": "GET", "wsgi.url_scheme": scheme, "wsgi.input": BytesIO()})
    view.setup(request)  # as for each request; from here on HEAD is among its methods
    response = HttpResponse(headers={"Allow": ", ".join(view.allowed_methods)})
    XFrameOptionsMiddleware(lambda request: response).process_response(request, response)
    SecurityMiddleware(lambda request: response).process_response(request, response)
    del response["Content-Type"]
    return [*response.items(), *security_headers.told(prefix).items()]
