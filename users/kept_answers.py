"""What commands answered, for as long as their idempotency keys may be repeated: a day. Knows nothing of HTTP."""

from collections.abc import Mapping
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from users.models import KeptAnswer

KEPT = timedelta(hours=24)


def find(digest: str) -> KeptAnswer | None:
    """The answer that is kept under this digest; None: there is none, or its day is over."""
    return KeptAnswer.objects.filter(digest=digest, expires_at__gt=timezone.now()).first()


def keep(
    digest: str,
    fingerprint: str,
    status: int,
    headers: Mapping[str, str],
    body: str,
    *,
    asked_by_id: int | None,
    about_id: int | None,
) -> None:
    """The answer is found under its digest once the transaction has committed; it replaces one that has expired."""
    kept = KeptAnswer(
        digest=digest,
        fingerprint=fingerprint,
        asked_by_id=asked_by_id,
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


MOST_AT_ONCE = 1000


def forget_some() -> bool:
    """A chore's step: some answers whose day is over are gone; whether there may be more."""
    return forget_expired(MOST_AT_ONCE) == MOST_AT_ONCE


def forget_expired(limit: int) -> int:
    """At most so many answers whose day is over are gone, the oldest first; returns how many."""
    expired = KeptAnswer.objects.filter(expires_at__lte=timezone.now())
    oldest = list(expired.order_by("expires_at").values_list("digest", flat=True)[:limit])
    return expired.filter(digest__in=oldest).delete()[0]  # asked again: one may have been replaced meanwhile
