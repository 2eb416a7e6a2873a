"""What the API document says of query endpoints: schemas from the declarations, headers from http.py.

Reads the views by their attributes; other methods of a combined view are described where they are written.
"""

import re
from typing import Any, Literal

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from readmodels import http, schema
from readmodels.conf import conf
from readmodels.declare import Document
from readmodels.parameters import DEFAULT_LIMIT, accepted_values

TEXT: dict[str, Any] = {"type": "string"}
HEADER: Literal["header"] = "header"


class QuerySchema(AutoSchema):
    """Describes GET of a query view; called by drf-spectacular once per operation."""

    view: Any  # a QueryView, or a view combined with one

    def get_operation_id(self) -> str:
        """The read model's name, or the view's own for a second operation: OrderDetail, CustomerOrders."""
        return self._name() if self._is_query() else super().get_operation_id()

    def get_summary(self) -> str | None:
        """The same in words: Order detail, Customer orders."""
        if not self._is_query():
            return super().get_summary()
        return re.sub("(?<!^)(?=[A-Z])", " ", self._name()).capitalize()

    def get_description(self) -> str:  # type: ignore[override]
        """What the read model is, as it was declared."""
        return (self.view.read_model.__doc__ or "").strip() if self._is_query() else super().get_description()

    def get_request_serializer(self) -> Any:
        """Nothing: what GET asks for stands in parameters."""
        return None if self._is_query() else super().get_request_serializer()

    def get_response_serializers(self) -> Any:
        """The schema of what is answered."""
        if not self._is_query():
            return super().get_response_serializers()
        not_modified = OpenApiResponse(description="The asker's If-None-Match names what would be answered.")
        return {200: OpenApiResponse(self._answer(), description="As stored."), 304: not_modified}

    def get_override_parameters(self) -> list[Any]:
        """Parameters and headers, asked and answered."""
        if not self._is_query():
            return super().get_override_parameters()
        return [*request_headers(), *self._parameters(), *response_headers()]

    def get_auth(self) -> list[dict[str, Any]]:
        """What has to be shown; nothing for a public query."""
        return [] if self._is_query() and self.method in self.view.public_methods else super().get_auth()

    def _is_query(self) -> bool:
        return self.method == "GET"

    def _name(self) -> str:
        return str(self.view.operation or self.view.read_model.__name__)

    def _answer(self) -> dict[str, Any]:
        of = self.view.read_model
        if issubclass(of, Document):
            return self._component(of.__name__, schema.json_schema(of))
        if hasattr(self.view, "partition"):
            row = self._component(f"{of.__name__}Row", schema.json_schema(of))
            return self._component(f"{of.__name__}Page", schema.page_schema(of, row))
        return self._component(of.__name__, schema.daily_schema(of))

    def _component(self, name: str, found: dict[str, Any]) -> dict[str, Any]:
        component = ResolvedComponent(name, ResolvedComponent.SCHEMA, found, name)  # type: ignore[no-untyped-call]
        self.registry.register_on_missing(component)
        return dict(component.ref)

    def _parameters(self) -> list[OpenApiParameter]:
        of = self.view.read_model
        if issubclass(of, Document):
            return []
        if not hasattr(self.view, "partition"):
            day = {"type": "string", "format": "date"}
            return [_query("from", day, "The first day (UTC).", True), _query("to", day, "The last day (UTC).", True)]
        is_in_address = f"{{{self.view.partition}}}" in self.path
        names = [] if is_in_address else [_choice(of, self.view.partition, True)]
        limit = {"type": "integer", "minimum": 1, "maximum": conf().max_page_rows, "default": DEFAULT_LIMIT}
        return [
            *names,
            *(_choice(of, name, False) for name in of.filter_by),
            _query("cursor", TEXT, "The `next` of the page before, with the same filters.", False),
            _query("limit", limit, "The most rows to answer.", False),
        ]


def request_headers() -> list[OpenApiParameter]:
    """The headers that any query takes."""
    written = (
        f"Tokens that commands answered with, at most {http.MOST_TOKENS} with commas between: the answer includes those"
        " writes, or is 503 once the wait is over."
    )
    preferred = (
        "`wait=<seconds>`: how long to wait for the tokens' writes, and for `max-stale`; bounded by the service."
        " `on-timeout=stale`: in place of a 503, the answer as it is, marked by `Read-Model-Stale`."
    )
    stale = (
        "`max-stale=<seconds>`: the answer shows everything that had committed longer ago than this, or is 503 once"
        " the wait is over."
    )
    return [
        OpenApiParameter(http.CONSISTENCY_TOKEN, TEXT, HEADER, description=written),
        OpenApiParameter(http.CACHE_CONTROL, TEXT, HEADER, description=stale),
        OpenApiParameter("Prefer", TEXT, HEADER, description=preferred),
        OpenApiParameter(
            "If-None-Match", TEXT, HEADER, description="ETags that the asker has: 304 where one still holds."
        ),
    ]


def response_headers() -> list[OpenApiParameter]:
    """The headers that any answer to a query carries."""
    time = {"type": "string", "format": "date-time"}
    found = {
        "ETag": (TEXT, "Changes whenever the answer may have."),
        "Cache-Control": (
            TEXT,
            "`private, no-cache`, or how long a public answer may be kept; `no-store` where its age matters.",
        ),
        http.AS_OF: (time, "The time that the answer speaks of."),
        http.VERSION: (
            TEXT,
            "Of the document, or of what is known of the read model; the greater as text is the newer.",
        ),
        http.LAG: ({"type": "number"}, "Seconds: whatever had committed this long before that time is included."),
    }
    sometimes = {
        http.STALE: (
            {"type": "string", "enum": ["true"]},
            "Only on an answer that lacks something asked for, or the newest state of what could not be built.",
        ),
        "Preference-Applied": (TEXT, "What was granted of `Prefer`: the wait, and `on-timeout=stale`."),
    }
    return [
        OpenApiParameter(name, kind, HEADER, description=text, response=[200, 304], required=name in found)
        for name, (kind, text) in (found | sometimes).items()
    ]


def _query(name: str, kind: dict[str, Any], description: str, required: bool) -> OpenApiParameter:
    return OpenApiParameter(name, kind, "query", description=description, required=required)


def _choice(of: Any, name: str, required: bool) -> OpenApiParameter:
    values = accepted_values(of, name)
    return _query(name, {**TEXT, "enum": values} if values else TEXT, f"Only rows of this {name}.", required)
