"""Middleware that the pages of the admin need and the API does not: it knows no sessions, and so nobody by one.

Subclasses, since Django's checks look for the originals; on an API request each costs a comparison of its path.
"""

from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware

from project.problems import is_api


class OnPages:
    """Passes the API's requests on as they are."""

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Called for each request."""
        if is_api(request):
            answer: HttpResponse = self.get_response(request)  # type: ignore[attr-defined]  # of the class beside
            return answer
        return super().__call__(request)  # type: ignore[misc,no-any-return]


class Files(OnPages, WhiteNoiseMiddleware):  # type: ignore[misc]  # it has no types
    """Static files."""


class Sessions(OnPages, SessionMiddleware):
    """A session, by its cookie."""


class Authentication(OnPages, AuthenticationMiddleware):
    """The user of a session."""


class Messages(OnPages, MessageMiddleware):
    """What the next page shows once."""
