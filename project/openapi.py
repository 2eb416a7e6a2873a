"""What holds for every operation of the API document: the problems that it may answer with."""

from typing import Any

from project.problems import MEDIA_TYPE

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "An error (RFC 9457). `type` and `code` are stable; a program decides by them.",
    "required": ["type", "title", "status", "detail", "instance", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "code": {"type": "string"},
        "fields": {
            "type": "array",
            "description": "Which parts of the request are at fault; a field of a list as `lines.0.sku`.",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {name: {"type": "string"} for name in ("field", "code", "detail")},
            },
        },
        "facts": {"type": "object", "description": "The values that a command found, by name."},
    },
}
MEANINGS = {
    "400": "The request is not accepted as it is; `fields` says why.",
    "401": "Log in first: no token, or one that has ended.",
    "403": "Not yours to do.",
    "404": "There is no such thing, or it is not yours to know of.",
    "406": "Answers are JSON; live updates are `text/event-stream`.",
    "409": "The present state does not allow it; `facts` says what was found. Or the idempotency key is in use.",
    "410": "The list was built anew since the cursor was issued; begin with the first page.",
    "411": "A body of this size needs a Content-Length.",
    "412": "The row has changed since the version in If-Match.",
    "413": "The body is too large.",
    "415": "The body is of a media type that is not taken here; most are JSON.",
    "422": "The Idempotency-Key came with another request before.",
    "428": "If-Match is demanded here.",
    "429": "Too many at once, too often, or too many failed attempts to log in; `Retry-After` says when to try again.",
    "503": "Not now: what a token or max-stale asks for is not there yet, or a server does not answer. Try again.",
}
HEADERS = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}


def add_problems(result: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """Called by drf-spectacular with the whole document: every operation names the problems it may answer with."""
    result["components"]["schemas"]["Problem"] = PROBLEM
    result["components"]["responses"] = {f"Problem{status}": _response(status) for status in MEANINGS}
    for path, operations in result["paths"].items():
        for method, operation in operations.items():
            for status in _statuses(path, method, operation):
                operation["responses"][status] = {"$ref": f"#/components/responses/Problem{status}"}
    return result


def _statuses(path: str, method: str, operation: dict[str, Any]) -> list[str]:
    parameters = operation.get("parameters", ())
    names = {parameter["name"] for parameter in parameters}
    found = ["400", "406", "429", "503"]
    if operation.get("security") or path.endswith("/login"):
        found += ["401", "403"]
    if "{" in path:
        found.append("404")
    if "cursor" in names:
        found.append("410")
    if method != "get":
        found += ["409", "413", "415"]
    if "application/x-ndjson" in operation.get("requestBody", {}).get("content", {}):
        found.append("411")
    if "Last-Event-ID" in names:
        found.append("429")
    if "If-Match" in names:
        found.append("412")
    if "Idempotency-Key" in names:
        found.append("422")
    if any(parameter["name"] == "If-Match" and "428" in parameter["description"] for parameter in parameters):
        found.append("428")
    return sorted(found)


def _response(status: str) -> dict[str, Any]:
    response: dict[str, Any] = {
        "description": MEANINGS[status],
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    if status in HEADERS:
        response["headers"] = {HEADERS[status]: {"schema": {"type": "string"}, "required": True}}
    return response
