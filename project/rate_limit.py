"""How often the API may be asked: per account where somebody signed in, and per address always.

A view takes from its limits once it is known who asks, and what no view has counted (an unknown route, a token that is
none) is taken from the address's limit afterwards; so each request costs one step in Redis. Where Redis does not answer
nobody is refused: commands go on, and queries have nothing to answer from anyway.
"""

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import APIException
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from project import problems
from readmodels import connection
from readmodels.limits import Limit, Taken, patience
from readmodels.store import Store
from users.addresses import client_address
from users.authentication import Principal

POLICY, STATE = "RateLimit-Policy", "RateLimit"


class TooManyRequests(APIException):
    """A limit of who asks is used up; nothing was done."""

    status_code = 429
    default_code = "too_many_requests"

    def __init__(self, wait_seconds: int) -> None:
        self.wait = max(wait_seconds, 1)
        super().__init__(f"Too many requests. Try again in {self.wait} s.")


class RateLimit(BaseThrottle):
    """Every request takes one from the limits of who asks, or is refused."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """Called once per request, when it is known who asks; raises TooManyRequests."""
        _take(request._request)
        return True


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Every answer of the API says what is left of the limits; what no view has counted is counted here."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not problems.is_api(request):
            return response
        if not hasattr(request, "rate_taken"):
            try:
                _take(request)
            except TooManyRequests as error:
                response = problems.of_rest_framework(error).respond(request)
        _tell(response, getattr(request, "rate_taken", None))
        return response

    return answer


def _tell(response: HttpResponse, taken: Taken | None) -> None:
    if taken and taken.limits:
        limits = [each.limit for each in taken.limits]
        response[POLICY] = ", ".join([f'"{limit.name}";q={limit.most};w={limit.seconds}' for limit in limits])
        state = [f'"{each.limit.name}";r={each.left};t={each.whole_in_seconds}' for each in taken.limits]
        response[STATE] = ", ".join(state)


def _take(request: HttpRequest) -> None:
    limits = list(limits_of(request))
    taken = patience.ask(lambda: Store(connection.limits()).take(limits)) if limits else None
    request.rate_taken = taken  # type: ignore[attr-defined]
    if taken and not taken.is_taken:
        raise TooManyRequests(taken.retry_in_seconds)


def limits_of(request: HttpRequest) -> Iterator[Limit]:
    """The limits that hold for this request, as far as it is known who asks."""
    kind = "queries" if request.method in SAFE_METHODS else "commands"
    # Whoever a session belongs to, its page would have to be asked of the database; the API knows no sessions.
    principal = getattr(request, "user", None)
    if type(principal) is Principal and principal.is_authenticated:
        yield from _limit(f"{kind}-per-account", str(principal.user_id))
    yield from _limit(f"{kind}-per-address", client_address(request))


def _limit(name: str, of: str) -> Iterator[Limit]:
    rate = settings.LIMITS[name]
    if rate is not None:
        yield Limit(name, of, *rate)
