"""What the API document says of a command, beside the view that runs it."""

from collections.abc import Callable
from typing import Any, TypeVar

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from readmodels import http
from readmodels.openapi import HEADER, TEXT

Method = TypeVar("Method", bound=Callable[..., Any])


def documented(
    name: str, takes: Any, answers: Any, *, status: int = 200, has_version: bool = True, is_public: bool = False
) -> Callable[[Method], Method]:
    """The operation's name, body and headers; creation (201, 202) has a Location, a change of a row an If-Match.

    The name in words is the summary.
    """
    is_change = has_version and status == 200
    asked = [OpenApiParameter(http.CONSISTENCY_TOKEN, TEXT, HEADER, description="Handed back if nothing is written.")]
    if is_change:
        text = "The ETag of an earlier answer; 412 if the row has changed since."
        asked.append(OpenApiParameter("If-Match", TEXT, HEADER, description=text))
    told = {http.CONSISTENCY_TOKEN: "Given to a query, the answer includes this write."}
    told |= {"ETag": "The row's version, for If-Match."} if has_version else {}
    told |= {"Location": "Where the new one is."} if status in (201, 202) else {}
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
