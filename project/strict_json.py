"""The body of a request as JSON, strictly and within a bound; what strict means, users/strict_json.py says."""

from typing import Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

from users import strict_json

MOST_BYTES = 2**20


class TooLarge(APIException):
    """The body is longer than any command needs."""

    status_code = 413
    default_detail = f"At most {MOST_BYTES} bytes are accepted."
    default_code = "too_large"


class StrictJSONParser(BaseParser):
    """UTF-8, no key twice, finite numbers, no NUL nor lone surrogate, bounded in bytes and depth."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """Called once per request with a body, when it is first looked at; raises ParseError, TooLarge."""
        body = stream.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise TooLarge
        try:
            return strict_json.read(body)
        except strict_json.NotStrictJson as error:
            raise ParseError(str(error)) from error
