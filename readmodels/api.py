"""What every endpoint of the API has in common, on either side: who is asked to sign in, and OPTIONS."""

from typing import Any, ClassVar

from django.http import HttpResponse
from rest_framework import status
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.views import APIView

# What clients say that take JSON.
ANY_JSON = {"*/*", "application/json", "application/*", "application/json, */*"}


class ApiView(APIView):
    """Any endpoint of the API. In its public methods nobody is asked who they are, not even by a token that expired."""

    public_methods: ClassVar[frozenset[str]] = frozenset()

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[Any, str]:
        """(renderer, media type); who takes anything, or has no choice, is not negotiated with."""
        accepted = request.META.get("HTTP_ACCEPT", "*/*")
        if accepted in ANY_JSON and len(self.renderer_classes) == 1:
            renderer = self.renderer_classes[0]()
            return renderer, str(renderer.media_type)
        return super().perform_content_negotiation(request, force)

    def perform_authentication(self, request: Request) -> None:
        """Called once per request, before permissions."""
        if request.method in self.public_methods:
            request.user = api_settings.UNAUTHENTICATED_USER()  # type: ignore[operator]  # the stubs have its name
        else:
            super().perform_authentication(request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Called once per answer; the methods of the address are named where they are asked for, or another was."""
        if request.method != "OPTIONS" and response.status_code != status.HTTP_405_METHOD_NOT_ALLOWED:
            self.headers.pop("Allow", None)
        return super().finalize_response(request, response, *args, **kwargs)

    def options(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:  # type: ignore[override]
        """The methods of the address, in Allow."""
        return HttpResponse(status=204)
