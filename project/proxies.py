"""What proxies say of a request is heard from proxies only."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from users.addresses import comes_from_proxy

SAID_BY_PROXIES = ("HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT")


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Nobody but a trusted proxy can claim that a request came by TLS, or by which name."""

    def answer(request: HttpRequest) -> HttpResponse:
        if not (settings.TRUSTED_PROXIES and comes_from_proxy(request.META)):
            for name in SAID_BY_PROXIES:
                request.META.pop(name, None)
        return get_response(request)

    return answer
