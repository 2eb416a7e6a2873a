"""What the command views of every app share: strict input, If-Match, one transaction, what the answer carries."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, ClassVar

from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.encoding import force_str
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from readmodels import http, parameters
from readmodels.api import ApiView
from readmodels.consistency import Token, current_token
from users import idempotency, kept_answers
from users.idempotency import AnsweredBefore, Named

# A command's ETag is the row's version; a query's has the document's version after it. Both name the row's.
IF_MATCH = re.compile(r'"([0-9]{1,9})(?:\.[0-9A-Za-z]+)?"')


class IfMatch(StrEnum):
    """Whether a change has to say which version of the row it was decided on."""

    OPTIONAL = "optional"  # where the present state itself decides, as with an order's moves
    FOREIGN = "foreign"  # demanded unless the row is one's own: several people may be at it
    REQUIRED = "required"


class VersionRequired(APIException):
    """The view's policy demands If-Match."""

    status_code = 428
    default_code = "version_required"
    default_detail = "Others may be changing this too: send If-Match with the ETag of what you saw, or * for any."


class CommandView(ApiView):
    """Answers POST and PATCH, each by one command; combined with a query view where both share an address."""

    if_match: ClassVar[IfMatch] = IfMatch.OPTIONAL

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Called before the method: a command takes no parameters in its address."""
        super().initial(request, *args, **kwargs)
        is_command = request.method not in SAFE_METHODS and request.method in self.allowed_methods
        if is_command:
            parameters.only(request, ())

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]
        """Called with what the method raised; a command that was done before is answered as then."""
        return exc.response if isinstance(exc, AnsweredBefore) else super().handle_exception(exc)


class Done:
    """What a command ended with; its tokens are those of the write once its transaction is over."""

    def __init__(self, carried: tuple[Token, ...]) -> None:
        self.tokens = carried
        self.response: Response | None = None
        self.about_id: int | None = None

    def answer(
        self, state: Mapping[str, Any] | None, status: int = 200, location: str | None = None, about: int | None = None
    ) -> Response:
        """The state after the command, with its version as ETag; None: there is nothing to tell.

        Called inside `one_command`, so that the answer is kept with what was written. `about`: the user whose it is.
        """
        response = Response(state, status=204 if state is None else status)
        if state and "version" in state:
            response["ETag"] = f'"{state["version"]}"'
        if location:
            response["Location"] = location
        self.response, self.about_id = response, about
        self._tell()
        return response

    def wrote(self, token: Token | None) -> None:
        """The token of the write takes the place of those that the request carried."""
        self.tokens = (token,) if token else self.tokens
        self._tell()

    def _tell(self) -> None:
        if self.response is not None and self.tokens:
            self.response[http.CONSISTENCY_TOKEN] = ", ".join(map(str, self.tokens))


@contextmanager
def one_command(request: Request, *, is_repeatable: bool = True, content: str | None = None) -> Iterator[Done]:
    """One transaction around the checks that a command needs, the command, and its answer.

    Where the request has an idempotency key, the answer is kept under it, or the first one raised; not repeatable is
    what answers with a secret. `content` stands for a body that the view itself has read. Raises WrongToken, KeyInUse,
    KeyReused, AnsweredBefore.
    """
    done = Done(http.tokens(request))
    named = idempotency.named(request, content) if is_repeatable else None
    with transaction.atomic():
        if named:
            idempotency.begin(named)
        yield done
        done.wrote(current_token())
        if is_repeatable and done.response is None:
            raise RuntimeError("a command's view calls `done.answer` inside of `one_command`")
        if named and done.response:
            _keep(named, request, done.response, done.about_id)


def _keep(named: Named, request: Request, response: Response, about_id: int | None) -> None:
    headers = {name: value for name, value in response.items() if name != "Content-Type"}
    # As the response itself will be rendered, to the byte.
    media_type = request.accepted_media_type
    body = b"" if response.data is None else request.accepted_renderer.render(response.data, media_type)
    kept_answers.keep(
        named.digest,
        named.fingerprint,
        response.status_code,
        headers,
        force_str(body),
        asked_by_id=named.user_id,
        about_id=about_id,
    )


def parsed(serializer: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
    """The request's body as the serializer takes it; raises ValidationError naming the fields at fault."""
    found = serializer(data=request.data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)


def expected_version(request: HttpRequest, policy: IfMatch = IfMatch.OPTIONAL, *, is_own: bool = False) -> int | None:
    """The row's version that If-Match names; None where any will do, as with `*`.

    Raises ValidationError, and VersionRequired where the view's policy demands the header.
    """
    text = request.headers.get("If-Match")
    if text is None and (policy is IfMatch.REQUIRED or (policy is IfMatch.FOREIGN and not is_own)):
        raise VersionRequired
    text = (text if text is not None else "*").strip()
    if text == "*":
        return None
    found = IF_MATCH.fullmatch(text)
    if found is None:
        raise ValidationError({"If-Match": ['The ETag of an earlier answer, such as "3", or * is accepted.']})
    return int(found[1])
