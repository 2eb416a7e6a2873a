"""How often the API may be asked: per account where somebody signed in, and per address always.

A view takes from its limits once it is known who asks, and what no view has counted (an unknown route, a token that is
none) is taken from the address's limit afterwards; so each request costs one step in Redis. Where Redis does not answer
nobody is refused: commands go on, and queries have nothing to answer from anyway.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django.conf import settings
from django.core.signals import setting_changed
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import APIException
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from project import problems
from readmodels import connection
from readmodels.limits import Limit, Limits, Taken, patience
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


def told(taken: Taken) -> list[tuple[str, str]]:
    """The headers that say what is left of the limits."""
    return [(POLICY, taken.limits.policy), (STATE, taken.state)] if taken.limits else []


def _tell(response: HttpResponse, taken: Taken | None) -> None:
    for name, value in told(taken) if taken else ():
        response[name] = value


def _take(request: HttpRequest) -> None:
    limits = _limits_of(request)
    taken = _taken_ahead(request, limits) or (patience.ask(lambda: _store().take(limits)) if limits else None)
    request.rate_taken = taken  # type: ignore[attr-defined]
    if taken and not taken.is_taken:
        raise TooManyRequests(taken.retry_in_seconds)


def _taken_ahead(request: HttpRequest, limits: Limits) -> Taken | None:
    """What was taken from these very limits when the request came; from others, it is given back."""
    taken: Taken | None = request.__dict__.pop("taken_ahead", None)
    if taken is None or taken.limits == limits:
        return taken
    give_back(taken)
    return None


def give_back(taken: Taken) -> None:
    """Whoever it was taken from has it again."""
    if taken.is_taken and taken.limits:
        patience.ask(lambda: _store().return_to(taken.limits))


def _store() -> Store:
    return Store(connection.limits())


def _limits_of(request: HttpRequest) -> Limits:
    """The limits that hold for this request, as far as it is known who asks."""
    kind = "queries" if request.method in SAFE_METHODS else "commands"
    # Whoever a session belongs to, its page would have to be asked of the database; the API knows no sessions.
    principal = getattr(request, "user", None)
    user_id = principal.user_id if type(principal) is Principal else None
    return limits_of(kind, user_id, client_address(request.META))


@lru_cache(maxsize=4096)
def limits_of(kind: str, user_id: int | None, address: str) -> Limits:
    """The limits of queries or commands that hold for a user, None for anybody, at this address."""
    counted = [(f"{kind}-per-account", user_id), (f"{kind}-per-address", address)]
    found = [(name, of, settings.LIMITS[name]) for name, of in counted if of is not None]
    return Limits(Limit(name, str(of), *rate) for name, of, rate in found if rate is not None)


setting_changed.connect(lambda **changed: limits_of.cache_clear(), weak=False)
