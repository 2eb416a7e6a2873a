"""What the command views of every app share: strict input, If-Match, one transaction, the consistency token.

An idempotency key will be looked up and kept in `one_command`, inside the same transaction.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.http import HttpRequest
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from readmodels import http, parameters
from readmodels.api import ApiView
from readmodels.consistency import Token, Written, recorded

# A command's ETag is the row's version; a query's has the document's version after it. Both name the row's.
IF_MATCH = re.compile(r'"(\d{1,9})(?:\.[0-9A-Za-z]+)?"')


class CommandView(ApiView):
    """Answers POST and PATCH, each by one command; combined with a query view where both share an address."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Called before the method: a command takes no parameters in its address."""
        super().initial(request, *args, **kwargs)
        if request.method not in SAFE_METHODS:
            parameters.only(request, ())


class Done:
    """How a command ended; filled when its transaction has committed."""

    def __init__(self, written: Written, carried: tuple[Token, ...]) -> None:
        self._written = written
        self._carried = carried

    @property
    def tokens(self) -> tuple[Token, ...]:
        """The token of what was written, or else those that the request carried."""
        return (self._written.token,) if self._written.token else self._carried

    def answer(self, state: Mapping[str, Any] | None, status: int = 200, location: str | None = None) -> Response:
        """The state after the command, with its version as ETag; None: there is nothing to tell."""
        response = Response(state, status=204 if state is None else status)
        if state and "version" in state:
            response["ETag"] = f'"{state["version"]}"'
        if location:
            response["Location"] = location
        if self.tokens:
            response[http.CONSISTENCY_TOKEN] = ", ".join(map(str, self.tokens))
        return response


@contextmanager
def one_command(request: HttpRequest) -> Iterator[Done]:
    """One transaction around the checks that a command needs and the command itself. Raises WrongToken."""
    carried = http.tokens(request)
    with recorded() as written:
        yield Done(written, carried)


def parsed(serializer: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body as the serializer takes it; raises ValidationError naming the fields at fault."""
    found = serializer(data=request.data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)


def expected_version(request: HttpRequest) -> int | None:
    """The row's version that If-Match names; None where any will do. Raises ValidationError."""
    text = request.headers.get("If-Match", "*").strip()
    if text == "*":
        return None
    found = IF_MATCH.fullmatch(text)
    if found is None:
        raise ValidationError({"If-Match": ['The ETag of an earlier answer, such as "3", or * is accepted.']})
    return int(found[1])
