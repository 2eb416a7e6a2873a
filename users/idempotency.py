"""The idempotency key: who repeats a command under its key gets the first answer, and nothing is done twice.

The answer is kept for a day, in the transaction of the command itself: a command that failed leaves no record, and no
record is without its command. While the first is under way a repetition is refused at once, by a lock that nobody waits
for. Follows draft-ietf-httpapi-idempotency-key-header.
"""

import json
import re
from dataclasses import dataclass
from hashlib import sha256

from django.db import connection
from django.http import HttpResponse
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request

from users import kept_answers
from users.authentication import principal_of
from users.models import KeptAnswer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

# Up to 200 characters of printable ASCII: as they are, or between quotes as RFC 8941 writes text.
PLAIN = r"[!#-~][ !#-~]{0,199}"
QUOTED = r'"(?:[ !#-\[\]-~]|\\["\\]){1,200}"'


class KeyInUse(APIException):
    """A command with this key is under way."""

    status_code = 409
    default_code = "idempotency_key_in_use"
    default_detail = "A command with this idempotency key is under way; ask again for its answer."
    wait = 1


class KeyReused(APIException):
    """The key belongs to another request."""

    status_code = 422
    default_code = "idempotency_key_reused"
    default_detail = "This idempotency key came with another request; a new request needs a new key."


class AnsweredBefore(Exception):
    """Not an error: the command was done under this key already, and `response` is what was answered then."""

    def __init__(self, kept: KeptAnswer) -> None:
        super().__init__("answered before")
        self.response = HttpResponse(kept.body.encode(), status=kept.status, content_type="application/json")
        if not kept.body:
            del self.response["Content-Type"]
        for name, value in {**kept.headers, REPLAYED: "true"}.items():
            self.response[name] = value


@dataclass(frozen=True)
class Named:
    """A request that carries a key: `digest` finds its record, `fingerprint` tells whether the request is the same."""

    digest: str
    fingerprint: str
    user_id: int | None

    @property
    def lock(self) -> int:
        """The number of the advisory lock, 64 bits of the digest."""
        return int.from_bytes(bytes.fromhex(self.digest[:16]), signed=True)


def named(request: Request, content: str | None = None) -> Named | None:
    """The request's key, None where it has none; raises ValidationError. `content` stands for a body that was read.

    A key is one user's. Whoever did not sign in shares theirs with all such requests of the address, so it has to be
    random; another's answer goes only to who sent the same body, password included. That body is known by a keyed hash.
    """
    text = request.headers.get(HEADER)
    if text is None:
        return None
    user_id = principal_of(request).user_id
    owner = ["user", user_id] if user_id is not None else ["path", request.path]
    # Without the secret key: once that is changed, a repetition is refused as another request, and never done twice.
    digest = sha256(json.dumps([*owner, _key(text)]).encode()).hexdigest()
    sent = request.data if content is None else content
    whole = json.dumps([request.method, request.path, sent], sort_keys=True)
    return Named(digest, salted_hmac("users.idempotency", whole, algorithm="sha256").hexdigest(), user_id)


def begin(request: Named) -> None:
    """The key is this transaction's until it ends; raises KeyInUse, KeyReused, AnsweredBefore."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [request.lock])
        if not cursor.fetchone()[0]:
            raise KeyInUse
    # A statement of its own: its snapshot is taken under the lock, and so shows what the one before has committed.
    kept = kept_answers.find(request.digest)
    if kept is not None:
        raise AnsweredBefore(kept) if kept.fingerprint == request.fingerprint else KeyReused


def _key(text: str) -> str:
    text = text.strip()
    if re.fullmatch(QUOTED, text):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if re.fullmatch(PLAIN, text):
        return text
    raise ValidationError({HEADER: ["1 to 200 characters of printable ASCII are accepted, such as a UUID."]})
