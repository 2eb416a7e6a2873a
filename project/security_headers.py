"""What browsers are told of every answer: nothing from elsewhere runs in it, and nobody shows it in a frame of theirs.

An answer of the API is data, so its policy allows nothing at all. The pages load their own files; the scripts in them
are files too, since no inline script is allowed anywhere. What a page may use of its device, tell other sites of itself
and share with windows of theirs is said of pages only: data that loads nothing does none of it (OWASP, REST Security
Cheat Sheet), and each header takes half a microsecond of the server's.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

CSP = "Content-Security-Policy"
DATA = "default-src 'none'; frame-ancestors 'none'"
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self';"
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'"
)
# Both pages of the API make style elements as they go. A style can't send anything anywhere: images and fonts are bound
# to this site, too.
API_PAGE = PAGE.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
# ReDoc searches in a worker that it makes itself.
REDOC = f"{API_PAGE}; worker-src blob:"
PAGES = {"/api/docs": API_PAGE, "/api/redoc": REDOC}
OF_PAGES = {
    # For browsers that know no `frame-ancestors`.
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Every answer carries its policy; SecurityMiddleware adds nosniff."""

    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        for name, value in told(request.path).items():
            response[name] = value
        return response

    return answer


def told(path: str) -> dict[str, str]:
    """The headers of what is at this address."""
    if path in PAGES:
        return {CSP: PAGES[path], **OF_PAGES}
    return {CSP: DATA} if path.startswith(("/api", "/health/")) else {CSP: PAGE, **OF_PAGES}
