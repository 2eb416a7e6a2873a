"""In front of Django: the query that is asked most, one document by its key, without a framework.

Its routes are those of the views: every address that ends with the key of a DocumentView. Whatever is not exactly what
is known here goes on to Django as if nothing had been: another method, a parameter, a header that changes an answer, a
token not met before, and all answers but 200 and 304. So the views stay the one reference, and a test holds both to the
same bytes (tests/integration/test_shortcut.py).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any

import structlog
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.security import SecurityMiddleware
from django.urls import URLPattern, URLResolver, get_resolver

from project import rate_limit, security_headers
from project.env import Shortcut
from project.first_look import look
from project.shortcut_rules import found, is_as_all_are, is_of_a_document, is_plain, public_seconds
from readmodels import http
from readmodels.limits import Taken
from readmodels.query import Answer
from readmodels.views import DocumentView
from users.addresses import comes_from_proxy

log = structlog.get_logger()

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Any]
Headers = list[tuple[str, str]]
Told = tuple[str, Headers, bytes]  # status, headers, body

# What these do to a query's answer, and nothing else, is done here too; with another in between, Django answers all.
KNOWN_MIDDLEWARE = {
    "readmodels.trace.middleware",
    "project.proxies.middleware",
    "project.security_headers.middleware",
    "django.middleware.security.SecurityMiddleware",
    "project.rate_limit.middleware",
    "project.health.middleware",
    "project.pages.Middleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "project.shortcut_inside.Middleware",
}


@dataclass(frozen=True)
class Route:
    """The address of one document, but for its key."""

    prefix: str  # without the slash before the key
    view: DocumentView
    is_key: Callable[[str], Any]
    key_of: Callable[[str], Any]
    headers: Headers  # that each answer has
    public_seconds: int | None  # how long shared stores may keep an answer; None: they may not
    is_tls: bool  # whether requests must have come by TLS


def in_front_of(django: Application) -> Application:
    """The application with the shortcut before it; the application alone where the settings don't allow for one."""
    if settings.SHORTCUT is not Shortcut.FRONT:
        return django
    if strange := set(settings.MIDDLEWARE) - KNOWN_MIDDLEWARE:
        log.info("shortcut_inside_django", not_known_what_these_do=sorted(strange))
        return django
    routes = {route.prefix: route for route in _routes(get_resolver().url_patterns, "/")}

    def answer(environ: Environ, start_response: Callable[..., Any]) -> Any:
        prefix, _, name = environ["PATH_INFO"].rpartition("/")
        route = routes.get(prefix)
        told = _answer(route, name, environ) if route and is_plain(environ) else None
        if told is None:
            return django(environ, start_response)
        status, headers, body = told
        start_response(status, headers)
        return [body]

    return answer


def _answer(route: Route, name: str, environ: Environ) -> Told | None:
    """The answer; None: it is for Django to give, and nothing was taken for it."""
    if not (
        route.is_key(name) and _is_our_host(environ.get("HTTP_HOST", "")) and (not route.is_tls or _is_by_tls(environ))
    ):
        return None
    key = route.key_of(name)
    looked = look(route.view, key, environ)
    if looked is None:
        return None
    answer = found(route.view, key, looked) if looked.taken.is_taken else None
    if answer is None:
        rate_limit.give_back(looked.taken)
        return None
    return _told(route, answer, looked.taken, environ.get("HTTP_IF_NONE_MATCH"))


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


def _told(route: Route, answer: Answer, taken: Taken, if_none_match: str | None) -> Told:
    etag, body = route.view.etag(answer), answer.body or b""
    headers = http.told(etag, answer.freshness, {}, route.public_seconds)
    headers += rate_limit.told(taken)
    headers += route.headers
    if http.is_known(if_none_match, etag):
        headers.append(("Content-Length", "0"))
        return "304 Not Modified", headers, b""
    headers += (("Content-Type", "application/json"), ("Content-Length", str(len(body))))
    return "200 OK", headers, body


# The routes in front


def _routes(patterns: Sequence[URLPattern | URLResolver], stem: str) -> Iterator[Route]:
    for each in patterns:
        path = stem + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _routes(each.url_patterns, path)
            continue
        view: Any = getattr(each.callback, "cls", None)
        if is_of_a_document(view) and is_as_all_are(view) and path.endswith(f":{view.key}>") and path.count("<") == 1:
            yield _route(path.partition("<")[0], view(), each.pattern.converters[view.key])


def _route(prefix: str, view: DocumentView, converter: Any) -> Route:
    is_key = re.compile(converter.regex).fullmatch
    return Route(
        prefix.removesuffix("/"),
        view,
        is_key,
        converter.to_python,
        _headers(prefix),
        public_seconds(view),
        settings.IS_TLS,
    )


def _headers(prefix: str) -> Headers:
    """What middleware says of each answer."""
    scheme = "https" if settings.IS_TLS else "http"
    request = WSGIRequest({"REQUEST_METHOD": "GET", "wsgi.url_scheme": scheme, "wsgi.input": BytesIO()})
    response = HttpResponse()
    SecurityMiddleware(lambda request: response).process_response(request, response)
    del response["Content-Type"]
    return [*response.items(), *security_headers.told(prefix).items()]
