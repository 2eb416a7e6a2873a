"""Who may do what. Absent and foreign look alike: whoever may not know of a thing is told that it does not exist."""

from typing import Any

from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from users.authentication import Principal


class SignedIn(BasePermission):
    """Everybody who signed in; anybody in public methods and for OPTIONS. The default of every endpoint."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Called by REST framework before the view's method."""
        is_public = request.method == "OPTIONS" or request.method in getattr(view, "public_methods", ())
        return is_public or bool(request.user.is_authenticated)


def is_self_or_support(principal: Principal, user_id: int) -> bool:
    """Whether this is the user, or support."""
    return principal.is_support or principal.user_id == user_id


def require_support(principal: Principal) -> None:
    """Raises PermissionDenied for anybody else."""
    if not principal.is_support:
        raise PermissionDenied("Only support may do this.")


def require_catalogue(principal: Principal) -> None:
    """Raises PermissionDenied for anybody else."""
    if not principal.is_catalogue:
        raise PermissionDenied("Only staff of the catalogue may do this.")


def require_self_or_support(principal: Principal, user_id: int) -> None:
    """Raises NotFound for anybody else, whether or not there is such a user."""
    if not is_self_or_support(principal, user_id):
        raise NotFound
