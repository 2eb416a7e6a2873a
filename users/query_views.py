"""(7) GET: users out of their read models."""

from collections.abc import Mapping
from typing import Any

from readmodels.views import DocumentView
from users.authentication import Principal
from users.permissions import is_self_or_support
from users.readmodels.user_profile import UserProfile


class UserQuery(DocumentView):
    """A user's page, for themselves and support."""

    read_model = UserProfile
    key = "user_id"
    row_version = "version"

    def may_read(self, principal: Principal, key: int, body: bytes) -> bool:
        """Themselves and support."""
        return is_self_or_support(principal, key)


class AccountQuery(UserQuery):
    """The page of whoever asks."""

    def operation(self) -> str:
        """The profile's own name is that of the user's page."""
        return "Account"

    def key_of(self, principal: Principal, address: Mapping[str, Any]) -> int | None:
        """Their own."""
        return principal.user_id
