"""(0) POST of a batch of orders, by support: take the body in, start a job, answer with where it can be followed."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.request import Request
from rest_framework.response import Response

from orders.batch.models import PayloadFormat
from orders.batch.receiving import received
from orders.batch.serializers import ImportJobState
from orders.batch.starting import start_import
from users.authentication import principal_of
from users.command_http import CommandView, one_command
from users.command_openapi import documented
from users.permissions import require_support

FORMATS = {"application/x-ndjson": PayloadFormat.NDJSON, "text/csv": PayloadFormat.CSV}
NDJSON_EXAMPLE = """\
{"external_ref": "A-1", "customer_id": 1, "lines": [{"sku": "P-00001", "quantity": 2}]}
{"is_guest": true, "placed_at": "2026-01-31T12:00:00Z", "lines": [{"sku": "P-00002", "quantity": 1}]}
"""
CSV_EXAMPLE = """\
external_ref,customer_id,placed_at,sku,quantity
A-1,1,2026-01-31T12:00:00Z,P-00001,2
A-1,1,2026-01-31T12:00:00Z,P-00002,1
"""
# Text of which JSON Schema can't say more: what a line holds is judged when its order is made.
TAKEN: dict[str, Any] = {
    "application/x-ndjson": {"contentMediaType": "application/x-ndjson", "examples": [NDJSON_EXAMPLE]},
    "text/csv": {"contentMediaType": "text/csv", "examples": [CSV_EXAMPLE]},
}


class ImportOrders(CommandView):
    """Placing many orders with one request, by support."""

    @documented("import_orders", TAKEN, ImportJobState, status=202, has_version=False)
    def post(self, request: Request) -> Response:
        """The body is kept, and its orders will be made; Location says how far they are.

        A line of NDJSON is an order as `POST /api/orders` takes it, with `customer_id` or `is_guest`, and if you like
        `external_ref` and `placed_at`. Of a CSV, the lines that follow each other under one `external_ref` are an
        order. One that is not accepted is rejected for itself, with its line and the reason.
        """
        require_support(principal_of(request))
        with (
            received(request._request, _format(request._request)) as payload,
            one_command(request, content=payload.digest) as done,
        ):
            job = start_import(payload, principal_of(request).user_id)
            return done.answer(ImportJobState(job).data, 202, reverse("order-import", args=[job.pk]))


def _format(request: HttpRequest) -> PayloadFormat:
    """What the body says that it is; raises UnsupportedMediaType. It is not looked at before."""
    accepted = f"{' and '.join(FORMATS)} in UTF-8, not compressed, are accepted"
    charset = (request.content_params or {}).get("charset", "utf-8").lower()
    encoding = request.headers.get("Content-Encoding", "identity").lower()
    if request.content_type not in FORMATS or charset not in ("utf-8", "utf8", "us-ascii") or encoding != "identity":
        raise UnsupportedMediaType(request.content_type or "", detail=f"{accepted}.")
    return FORMATS[request.content_type]
