"""Whether the process lives, and whether it can serve. Says what is wrong, never where anything is."""

from collections.abc import Callable

import structlog
from django.db import DatabaseError
from django.db import connection as database
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from readmodels import eviction, keys
from readmodels.connection import RedisError
from readmodels.errors import MayEvict, ReadModelError, StoreMoved
from readmodels.store import Store

log = structlog.get_logger()


class Unfit(Exception):
    """A part can't serve; its message may be shown to anybody."""


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked, so that a failed server elsewhere restarts nobody."""
    return JsonResponse({"status": "live"}, headers={"Cache-Control": "no-store"})


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """200 if commands and queries can be served, else 503; each part with "ok" or what is wrong."""
    parts = {name: _state(name, check) for name, check in CHECKS.items() if name != POSTGRESQL or _has_database()}
    is_ready = all(state == "ok" for state in parts.values())
    body = {"status": "ready" if is_ready else "not ready", "parts": parts}
    return JsonResponse(body, status=200 if is_ready else 503, headers={"Cache-Control": "no-store"})


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """A probe is answered whatever host it names: it asks a machine by its address, not the service by its name."""

    def answer(request: HttpRequest) -> HttpResponse:
        view = PROBES.get(request.path_info)
        return view(request) if view else get_response(request)

    return answer


def _state(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except Unfit as reason:
        return str(reason)
    except (RedisError, ReadModelError, DatabaseError) as error:
        log.warning("not_ready", part=name, reason=str(error))
        return "does not answer"
    return "ok"


def _postgresql() -> None:
    with database.cursor() as cursor:
        cursor.execute("SELECT 1")


def _read_models() -> None:
    """Every bucket holds its progress, and the read models point at a generation."""
    store = Store()
    try:
        missing = store.all_progress().count(None)
    except StoreMoved:
        raise Unfit("Redis was restarted or failed over and is being looked at") from None
    if missing:
        raise Unfit(f"{missing} of {keys.BUCKETS} buckets are being filled")
    if not store.pointers():
        raise Unfit("no read model is built yet")


def _eviction_policy() -> None:
    """Redis must never drop a document by itself."""
    try:
        eviction.demand()
    except MayEvict as error:
        raise Unfit(f"maxmemory-policy is {error.policy}, must be {eviction.REQUIRED}") from None


def _has_database() -> bool:
    """The query service has none."""
    return database.vendor == POSTGRESQL


POSTGRESQL = "postgresql"
CHECKS: dict[str, Callable[[], None]] = {
    POSTGRESQL: _postgresql,
    "read_models": _read_models,
    "eviction_policy": _eviction_policy,
}
PROBES = {"/health/live": live, "/health/ready": ready}
