"""What all query endpoints have in common: how they answer, and what the API document says of them."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.request import Request

from readmodels import describing, http, schema
from readmodels.api import ApiView
from readmodels.declare import ReadModel
from readmodels.openapi import QuerySchema
from readmodels.waiting import Freshness, Wish

# Called with a name and a schema; the API document then has the schema, and the reference to it is returned.
Component = Callable[[str, dict[str, Any]], dict[str, Any]]


class QueryView(ApiView):
    """Answers GET from one read model; combined with a command view where both share an address."""

    schema = QuerySchema()
    read_model: ClassVar[type[ReadModel]]
    # How long shared stores may keep a public answer.
    public_seconds: ClassVar[int] = 5

    def _respond(self, request: Request, body: bytes, etag: str, freshness: Freshness, wish: Wish) -> HttpResponse:
        public_seconds = self.public_seconds if request.method in self.public_methods else None
        return http.respond(request, body, etag, freshness, wish, public_seconds)

    # For the API document

    def operation(self) -> str:
        """The operation's unique name."""
        return self.read_model.__name__

    def describe(self) -> str:
        """What is answered."""
        return (self.read_model.__doc__ or "").strip()

    def parameters(self, path: str) -> list[OpenApiParameter]:
        """The parameters that are taken at this address."""
        return []

    def all_headers(self) -> list[OpenApiParameter]:
        """The headers that are taken and answered."""
        return [*describing.request_headers(), *describing.response_headers()]

    def answer(self, component: Component) -> dict[str, Any]:
        """The schema of the answer."""
        raise NotImplementedError

    def responses(self, component: Component) -> dict[Any, OpenApiResponse]:
        """The answers by status."""
        not_modified = OpenApiResponse(description="The asker's If-None-Match names what would be answered.")
        return {200: OpenApiResponse(self.answer(component), description="As stored."), 304: not_modified}

    def _whole_or_part(self, name: str, component: Component) -> dict[str, Any]:
        found = schema.json_schema(self.read_model)
        part = {**schema.part_schema(found), "description": "What `fields` chose."}
        return {"anyOf": [component(name, found), component(f"{name}Part", part)]}
