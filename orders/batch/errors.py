"""Why a body is refused as a whole, as HTTP says it; and why one order of it is rejected."""

from dataclasses import dataclass

from rest_framework.exceptions import APIException


class LengthRequired(APIException):
    """Without its length, a body that was cut off half-way could not be told from a whole one."""

    status_code = 411
    default_code = "length_required"
    default_detail = (
        "Send the Content-Length of the body: the end of a chunked one can't be told from a lost connection."
    )


class PayloadTooLarge(APIException):
    """The body has more bytes or lines than is allowed, or one line has."""

    status_code = 413
    default_code = "too_large"


class NoRoom(APIException):
    """The temporary file can't be written; a disk may be full."""

    status_code = 503
    default_code = "no_room"
    default_detail = "The body can't be kept now."
    wait = 60  # seconds, for Retry-After


class MalformedPayload(APIException):
    """The body is not what its media type says, or came in part; the message names the line."""

    status_code = 400
    default_code = "malformed_payload"


@dataclass
class Rejected(Exception):
    """One order is not made, for this reason; those around it are. `line` counts from 1."""

    line: int
    code: str
    detail: str
