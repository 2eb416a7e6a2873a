"""(1) What gives and ends access, one transaction each. A token is handed out once and kept only as a hash."""

from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth import authenticate
from django.db import transaction
from knox.models import AuthToken


@dataclass(frozen=True)
class Access:
    """A user has signed in: `token` is the secret, `digest` what it is known by here."""

    user_id: int
    token: str
    digest: str
    expires_at: datetime | None


@transaction.atomic
def sign_in(*, email: str, password: str) -> Access | None:
    """One more token is the user's; None where e-mail and password do not belong to an active user."""
    user = authenticate(username=email, password=password)
    if user is None:
        return None
    row, token = AuthToken.objects.create(user=user)
    return Access(user.pk, token, row.digest, row.expiry)


@transaction.atomic
def sign_out(*, digest: str) -> None:
    """The token with this hash opens nothing any more; one that is gone already is no error."""
    AuthToken.objects.filter(digest=digest).delete()


@transaction.atomic
def sign_out_everywhere(*, digest: str) -> None:
    """Whoever the token with this hash belongs to, none of their tokens opens anything any more."""
    AuthToken.objects.filter(user__auth_token_set=digest).delete()
