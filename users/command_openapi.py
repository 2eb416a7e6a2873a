"""What the API document says of a command, beside the view that runs it."""

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.serializers import ListSerializer

from readmodels import http
from readmodels.openapi import HEADER, TEXT
from users import idempotency
from users.command_http import IF_MATCH, IfMatch
from users.serializers import StrictChange, StrictInput

Method = TypeVar("Method", bound=Callable[..., Any])


def documented(
    name: str,
    takes: Any,
    answers: Any,
    *,
    status: int = 200,
    has_version: bool = True,
    is_public: bool = False,
    is_repeatable: bool = True,
    if_match: IfMatch = IfMatch.OPTIONAL,
) -> Callable[[Method], Method]:
    """The operation's name, body and headers; creation (201, 202) has a Location, a change of a row an If-Match.

    The name in words is the summary.
    """
    is_change = has_version and status == 200
    asked = [_asked(http.CONSISTENCY_TOKEN, "Handed back if nothing is written.")]
    asked += [_repeated()] if is_repeatable else []
    asked += [_matched(if_match)] if is_change else []
    told = {http.CONSISTENCY_TOKEN: "Given to a query, the answer includes this write."}
    told |= {"ETag": "The row's version, for If-Match."} if has_version else {}
    told |= {"Location": "Where the new one is."} if status in (201, 202) else {}
    told |= {idempotency.REPLAYED: "`true`: the first answer, nothing was done again."} if is_repeatable else {}
    headers = [
        OpenApiParameter(header, TEXT, HEADER, description=text, response=[status]) for header, text in told.items()
    ]
    done = OpenApiResponse(answers, description="Done." if answers else "Done; no body.")
    return extend_schema(
        operation_id=name,
        summary=name.replace("_", " ").capitalize(),
        request=takes,
        responses={status: done},
        parameters=[*asked, *headers],
        auth=[] if is_public else None,
    )


class StrictSchema(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Says of strict input what its fields don't: nothing else is taken, no change is empty, lists have bounds."""

    target_class = StrictInput
    match_subclasses = True

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        """Called by drf-spectacular for each input."""
        described = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)  # type: ignore[no-untyped-call]
        # An action without input has no body in the document.
        found: dict[str, Any] = described | ({"additionalProperties": False} if self.target.fields else {})
        if isinstance(self.target, StrictChange):
            found["minProperties"] = 1
        for name, field in self.target.fields.items():
            if isinstance(field, ListSerializer):
                most = field.max_length  # type: ignore[attr-defined]  # unknown to the stubs
                found["properties"][name] |= {"minItems": int(not field.allow_empty), "maxItems": most}
        return found


def _repeated() -> OpenApiParameter:
    text = (
        "The client's own name for this command, such as a UUID: for 24 hours whoever repeats the request with it gets"
        " the first answer, and nothing is done twice. 409 while the first is under way, 422 with another request."
    )
    # No example: the page of the document would send that one key with everything.
    return _asked(idempotency.HEADER, text, {**TEXT, "pattern": f"^(?:{idempotency.PLAIN}|{idempotency.QUOTED})$"})


def _matched(policy: IfMatch) -> OpenApiParameter:
    text = {
        IfMatch.OPTIONAL: "The ETag of an earlier answer; 412 if the row has changed since.",
        IfMatch.FOREIGN: "The ETag of an earlier answer, or `*`; 412 if the row has changed since."
        " Without it 428, unless the row is one's own.",
        IfMatch.REQUIRED: "The ETag of an earlier answer, or `*`; 412 if the row has changed since. Without it 428.",
    }
    form = {**TEXT, "pattern": rf"^({IF_MATCH.pattern}|\*)$"}
    return _asked("If-Match", text[policy], form, required=policy is IfMatch.REQUIRED)


def _asked(name: str, text: str, kind: dict[str, Any] = TEXT, **more: Any) -> OpenApiParameter:
    return OpenApiParameter(name, kind, HEADER, description=text, **more)
