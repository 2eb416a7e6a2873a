"""The idempotency key: who repeats a command under its key gets the first answer, and nothing is done twice.

The answer is kept for a day, in the transaction of the command itself: a command that failed leaves no record, and no
record is without its command. While the first is under way a repetition is refused at once, by a lock that nobody waits
for. Follows draft-ietf-httpapi-idempotency-key-header.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from django.db import connection
from django.db.models import Q
from django.http import HttpResponse
from django.utils import timezone
from django.utils.crypto import salted_hmac
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.request import Request

from users.authentication import principal_of
from users.models import KeptAnswer

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
KEPT = timedelta(hours=24)

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


def named(request: Request) -> Named | None:
    """The request's key, None where it has none; raises ValidationError.

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
    content = json.dumps([request.method, request.path, request.data], sort_keys=True)
    return Named(digest, salted_hmac("users.idempotency", content, algorithm="sha256").hexdigest(), user_id)


def begin(request: Named) -> None:
    """The key is this transaction's until it ends; raises KeyInUse, KeyReused, AnsweredBefore."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [request.lock])
        if not cursor.fetchone()[0]:
            raise KeyInUse
    # A statement of its own: its snapshot is taken under the lock, and so shows what the one before has committed.
    kept = KeptAnswer.objects.filter(digest=request.digest, expires_at__gt=timezone.now()).first()
    if kept is not None:
        raise AnsweredBefore(kept) if kept.fingerprint == request.fingerprint else KeyReused


def keep(request: Named, status: int, headers: Mapping[str, str], body: str, about_id: int | None) -> None:
    """The answer is found under the key once the transaction has committed; it replaces one that has expired."""
    kept = KeptAnswer(
        digest=request.digest,
        fingerprint=request.fingerprint,
        asked_by_id=request.user_id,
        about_id=about_id,
        status=status,
        headers=dict(headers),
        body=body,
        expires_at=timezone.now() + KEPT,
    )
    columns = [field.name for field in KeptAnswer._meta.concrete_fields if not field.primary_key]
    KeptAnswer.objects.bulk_create([kept], update_conflicts=True, unique_fields=["digest"], update_fields=columns)


def forget_answers_of(user_id: int) -> int:
    """No answer is kept any more that this user asked for or that is about them; returns how many there were."""
    return KeptAnswer.objects.filter(Q(asked_by=user_id) | Q(about=user_id)).delete()[0]


def forget_expired(limit: int = 1000) -> int:
    """At most so many answers whose day is over are gone, the oldest first; returns how many."""
    expired = KeptAnswer.objects.filter(expires_at__lte=timezone.now())
    oldest = list(expired.order_by("expires_at").values_list("digest", flat=True)[:limit])
    return expired.filter(digest__in=oldest).delete()[0]  # asked again: one may have been replaced meanwhile


def _key(text: str) -> str:
    text = text.strip()
    if re.fullmatch(QUOTED, text):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if re.fullmatch(PLAIN, text):
        return text
    raise ValidationError({HEADER: ["1 to 200 characters of printable ASCII are accepted, such as a UUID."]})
