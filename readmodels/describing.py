"""What the API document says of single parameters and headers of queries."""

from typing import Any, Literal

from drf_spectacular.utils import OpenApiParameter

from readmodels import http, parameters, selection
from readmodels.conf import conf
from readmodels.declare import Collection, Document, ReadModel

TEXT: dict[str, Any] = {"type": "string"}
HEADER: Literal["header"] = "header"


def query(name: str, kind: dict[str, Any], description: str, required: bool = False) -> OpenApiParameter:
    """A parameter of the address."""
    return OpenApiParameter(name, kind, "query", description=description, required=required)


def several(name: str, kind: dict[str, Any], description: str, required: bool = False) -> OpenApiParameter:
    """A parameter that holds several values with commas between."""
    listed = {"type": "array", "items": kind, "minItems": 1}
    if name != selection.FIELDS:
        listed |= {"maxItems": parameters.MOST_KEYS, "uniqueItems": True}
    return OpenApiParameter(
        name, listed, "query", description=description, required=required, style="form", explode=False
    )


def chosen_fields(of: type[ReadModel]) -> OpenApiParameter:
    """The parameter `fields`."""
    names = {**TEXT, "enum": selection.selectable(of.body)}
    example = ",".join(names["enum"][:2])
    text = f"Only these entries of each document or row, inner ones dotted: `{selection.FIELDS}={example}`."
    return several(selection.FIELDS, names, text)


def key_list(of: type[Document], name: str) -> OpenApiParameter:
    """The parameter that lists keys."""
    number = {"type": "integer", "format": "int64", "minimum": 1, "maximum": parameters.GREATEST_KEY}
    kind = number if parameters.is_by_number(of) else TEXT
    return several(name, kind, f"At most {parameters.MOST_KEYS}, each once; answered in this order.")


def choice(of: type[Collection], name: str, required: bool) -> OpenApiParameter:
    """The parameter of a filter or a partition."""
    values = parameters.accepted_values(of, name)
    return query(name, {**TEXT, "enum": values} if values else TEXT, f"Only rows of this {name}.", required)


def paging(of: type[Collection]) -> list[OpenApiParameter]:
    """The parameters that choose a page."""
    limit = {"type": "integer", "minimum": 1, "maximum": conf().max_page_rows, "default": parameters.DEFAULT_LIMIT}
    found = [
        query("cursor", TEXT, "The `next` of the page before, with the same filters and the same `sort`."),
        query("limit", limit, "The most rows to answer."),
    ]
    if sorts := parameters.sorts(of):
        kind = {**TEXT, "enum": sorts, "default": sorts[0]}
        found.append(query("sort", kind, "The order of the rows; with a minus the falling one."))
    return found


def span(required: bool) -> list[OpenApiParameter]:
    """The parameters `from` and `to`."""
    day = {"type": "string", "format": "date"}
    return [query("from", day, "The first day (UTC).", required), query("to", day, "The last day (UTC).", required)]


def request_headers() -> list[OpenApiParameter]:
    """The headers that any query takes."""
    known = "ETags that the asker has: 304 where one still holds."
    return [*wishes(), OpenApiParameter("If-None-Match", TEXT, HEADER, description=known)]


def wishes() -> list[OpenApiParameter]:
    """The headers that say what an answer must show."""
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
