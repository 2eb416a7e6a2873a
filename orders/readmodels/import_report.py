"""The page that an import is followed on."""

from django.db.models import F

from orders.batch.models import ImportJob
from readmodels.declare import Document, Many


class ImportReport(Document):
    """How far an import of orders is; of what it rejected, the first 100 with their lines and reasons."""

    root = ImportJob
    body = {
        "id": F("id"),
        "state": F("state"),
        "format": F("format"),
        "bytes": F("bytes"),
        "lines": F("lines"),
        "lines_read": F("lines_read"),
        "orders_made": F("orders_made"),
        "orders_rejected": F("orders_rejected"),
        "failure": F("failure"),
        "created_by": F("created_by_id"),
        "created_at": F("created_at"),
        "started_at": F("started_at"),
        "finished_at": F("finished_at"),
        "rejections": Many(
            "rejections", {"line": F("line"), "code": F("code"), "detail": F("detail")}, order_by="line"
        ),
    }
