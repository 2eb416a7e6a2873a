"""What the pages of the admin need and the API does not: it has no files, no sessions, and so knows nobody by one."""

from collections.abc import Callable
from typing import cast

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware

from project.problems import is_api


class Middleware(SessionMiddleware, AuthenticationMiddleware, MessageMiddleware):
    """Static files, sessions, whom they belong to, and what the next page shows once.

    It is of these classes, since Django's checks look for them; an API request is passed by all of them at once.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        super().__init__(get_response)
        of_sessions = SessionMiddleware(AuthenticationMiddleware(MessageMiddleware(get_response)))
        self._of_pages = WhiteNoiseMiddleware(of_sessions)

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Called for each request."""
        answered_by = self.get_response if is_api(request) else self._of_pages
        return cast(HttpResponse, answered_by(request))
