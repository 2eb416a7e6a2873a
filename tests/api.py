"""Clients of the HTTP interface, signed in without waiting, and what tests send again and again."""

import json
from typing import Any

from django.http import HttpResponse
from knox.models import AuthToken
from rest_framework.test import APIClient

from users.commands import register_user
from users.models import User

PASSWORD = "horse-staple-battery"


def person(name: str, **roles: bool) -> User:
    """A user; staff has both of staff's roles unless told otherwise."""
    if roles.get("is_staff"):
        roles = {"is_support": True, "is_catalogue": True} | roles
    user = register_user(email=f"{name}@example.com", name=name.title(), password=PASSWORD)
    for role, holds in roles.items():
        setattr(user, role, holds)
    user.save(update_fields=list(roles)) if roles else None
    return user


def client_of(user: User | None) -> APIClient:
    client = APIClient()
    if user is not None:
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {access_of(user)}")
    return client


def access_of(user: User) -> str:
    """A new access token of the user's."""
    return str(AuthToken.objects.create(user=user)[1])


def body(response: HttpResponse) -> Any:
    return json.loads(response.content)


def fields(response: HttpResponse) -> list[str]:
    """The fields that a problem names."""
    assert response["Content-Type"] == "application/problem+json"
    return [each["field"] for each in body(response)["fields"]]
