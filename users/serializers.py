"""What commands on users take and answer; and strict fields, which every app's commands take.

Strict: nothing is ignored and nothing converted, so that a client's mistake shows at once.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from users.commands import LONGEST_PASSWORD

LARGEST_ID = 2**63 - 1

Input = TypeVar("Input", bound="StrictInput")


class StrictText(serializers.CharField):
    """Text; a number is none."""

    def to_internal_value(self, data: Any) -> str:
        """Called with what the JSON held."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictInteger(serializers.IntegerField):
    """An integer, also one written as 1.0; neither text, nor a fraction, nor true and false."""

    def to_internal_value(self, data: Any) -> int:
        """Called with what the JSON held."""
        # JSON has one kind of number, and JSON Schema calls 1.0 an integer; beyond 2**53 a float no longer says which.
        if isinstance(data, float) and data.is_integer() and abs(data) <= 2**53:
            return int(data)
        if not isinstance(data, int) or isinstance(data, bool):
            self.fail("invalid")
        return data


class StrictBoolean(serializers.BooleanField):
    """True or false; neither text nor a number."""

    def to_internal_value(self, data: Any) -> bool:
        """Called with what the JSON held."""
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class StrictInput(serializers.Serializer[Any]):
    """An object with these fields and no others."""

    def to_internal_value(self, data: Any) -> Any:
        """Called with what the JSON held; raises ValidationError naming unknown fields."""
        if isinstance(data, Mapping) and (unknown := [name for name in data if name not in self.fields]):
            raise ValidationError({name: ["Unknown field."] for name in unknown}, code="unknown")
        return super().to_internal_value(data)


class StrictChange(StrictInput):
    """The same for a change: each field may be left out, but not all of them."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Called once every field is valid."""
        if not attrs:
            raise ValidationError(f"Nothing to change; {', '.join(self.fields)} can be.", code="empty")
        return attrs


def shown(summary: str, value: dict[str, Any]) -> Callable[[type[Input]], type[Input]]:
    """The API document shows this example of the input."""
    return extend_schema_serializer(examples=[OpenApiExample("usual", value, summary=summary, request_only=True)])


class NoInput(StrictInput):
    """An action that needs no body."""


@shown(
    "A customer", {"email": "ada@example.com", "name": "Ada Byron", "password": "a-long-demo-password", "country": "UK"}
)
class RegisterInput(StrictInput):
    """A new user."""

    email = StrictText(max_length=254)
    name = StrictText(max_length=200)
    password = StrictText(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True)
    country = StrictText(max_length=60, required=False, allow_blank=True)


@shown("Another name", {"name": "Ada King"})
class ChangeUserInput(StrictChange):
    """What a user's page can change."""

    name = StrictText(max_length=200, required=False)
    email = StrictText(max_length=254, required=False)


@shown("Another password", {"current_password": "a-long-demo-password", "password": "another-long-phrase"})
class ChangePasswordInput(StrictInput):
    """The password as it is and as it shall be."""

    current_password = StrictText(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True)
    password = StrictText(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True)


@shown("Another e-mail", {"email": "countess@example.com", "current_password": "a-long-demo-password"})
class ChangeEmailInput(StrictInput):
    """The e-mail to sign in with, and the password as it is."""

    email = StrictText(max_length=254)
    current_password = StrictText(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True)


@shown("A customer of the demo", {"email": "customer@example.com", "password": "demo-customer-password"})
class LogInInput(StrictInput):
    """E-mail and password."""

    email = StrictText(max_length=254)
    password = StrictText(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True)


@shown("One's own account", {"current_password": "a-long-demo-password"})
class EraseInput(StrictInput):
    """Erasing one's own account asks for the password; staff erase others without."""

    current_password = StrictText(max_length=LONGEST_PASSWORD, trim_whitespace=False, write_only=True, required=False)


class PlaceState(serializers.Serializer[Any]):
    """What was found of a person in one place, and what became of it."""

    name = serializers.CharField()
    found = serializers.IntegerField()
    rewritten = serializers.IntegerField()
    removed = serializers.IntegerField()


class ReceiptState(serializers.Serializer[Any]):
    """That a person was erased; nothing personal but the id."""

    user_id = serializers.IntegerField()
    by_id = serializers.IntegerField(allow_null=True)
    began_at = serializers.DateTimeField()
    completed_at = serializers.DateTimeField(allow_null=True)
    is_verified = serializers.BooleanField()
    places = PlaceState(many=True)
    left = serializers.DictField(child=serializers.IntegerField())
    unlooked = serializers.ListField(child=serializers.CharField())


class AccessState(serializers.Serializer[Any]):
    """A token, shown this once."""

    token = serializers.CharField()
    user_id = serializers.IntegerField()
    expires_at = serializers.DateTimeField(allow_null=True)


class UserState(serializers.Serializer[Any]):
    """A user after a command."""

    id = serializers.IntegerField()
    version = serializers.IntegerField()
    email = serializers.CharField()
    name = serializers.CharField()
    country = serializers.CharField(allow_blank=True)
    is_active = serializers.BooleanField()
