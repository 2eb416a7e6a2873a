"""What the API document says of live updates."""

import re
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse

from readmodels import sse
from readmodels.conf import conf
from readmodels.declare import Document
from readmodels.openapi import HEADER, TEXT

LAST_ID = "Last-Event-ID"
DOCUMENT = "`document`: the document as it is now, first and after each change; its id is the document's version."
PARTITION = (
    "`row`: a row that is new or was changed, as it is now. `removed`: `id` of a row that left the list. `reset`:"
    " load the list anew; this comes first, and where the rows changed since `Last-Event-ID` are not known any"
    " more."
)
END = (
    "`end`: `reason` says why nothing follows: `gone` (deleted, or not yours any more), `signed_out`, `unavailable`,"
    " `over` (ask again)."
)


class LiveSchema(AutoSchema):
    """Describes GET of a live view; called by drf-spectacular once per operation."""

    view: Any  # a LiveView

    def get_operation_id(self) -> str:
        """OrderDetailLive, CustomerOrdersLive."""
        return f"{self._of().__name__}Live"

    def get_summary(self) -> str:
        """Order detail, live; Customer orders, live."""
        return re.sub("(?<!^)(?=[A-Z])", " ", self._of().__name__).capitalize() + ", live"

    def get_description(self) -> str:  # type: ignore[override]
        """What is sent, and how it goes on after an interruption."""
        sent = DOCUMENT if issubclass(self._of(), Document) else PARTITION
        return (
            f"{(self.view.__doc__ or '').strip()} Server-sent events: {sent} {END} Whoever comes back with the id of"
            " the last update gets what was changed since; states in between may be passed over, the newest never is. A"
            f" comment is sent after {conf().live_heartbeat_seconds:g} s without any update."
        )

    def get_request_serializer(self) -> Any:
        """Nothing."""
        return None

    def get_response_serializers(self) -> Any:
        """A text that does not end, or where to find it."""
        return {
            (200, sse.MEDIA_TYPE): OpenApiResponse(TEXT, description="Updates, until either side ends it."),
            307: OpenApiResponse(description="Ask there: updates are served by a process of their own."),
        }

    def get_override_parameters(self) -> list[Any]:
        """The header that goes on, and the one that leads elsewhere."""
        described = "The id of the last update that was received."
        url = {"type": "string", "format": "uri"}
        return [
            OpenApiParameter(LAST_ID, TEXT, HEADER, description=described),
            OpenApiParameter("Location", url, HEADER, description="Where to ask.", response=[307], required=True),
        ]

    def _of(self) -> Any:
        return self.view.query.read_model
