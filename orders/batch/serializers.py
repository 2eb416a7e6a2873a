"""What one order of an import has to say, and what is answered about the import."""

from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from orders.batch.models import JobState, PayloadFormat
from orders.serializers import PlaceOrderInput
from users.serializers import StrictText
from users.text import is_readable

LONGEST_REF = 64
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class StrictPast(serializers.DateTimeField):
    """A moment since 1970 that has come, as ISO 8601 with its zone."""

    def to_internal_value(self, value: Any) -> datetime:
        """Called with what the JSON held."""
        try:
            found = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            raise ValidationError("A time with its zone is accepted, as 2026-01-31T12:00:00Z.")
        if not EARLIEST <= found <= timezone.now():
            raise ValidationError("A time from 1970 to now is accepted.")
        return found.astimezone(UTC)


class ImportOrderInput(PlaceOrderInput):
    """One line of an import: an order, a customer's or a guest's; `external_ref` is its name elsewhere."""

    external_ref = StrictText(max_length=LONGEST_REF, required=False)
    placed_at = StrictPast(required=False)

    def validate_external_ref(self, value: str) -> str:
        """Called with what the field holds, once it is text."""
        if not is_readable(value):
            raise ValidationError("Holds control characters.")
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Called once every field is valid."""
        attrs = super().validate(attrs)
        if not attrs.get("is_guest") and "customer_id" not in attrs:
            raise ValidationError({"customer_id": ["Required, or is_guest as true."]})
        return attrs


class ImportJobState(serializers.Serializer[Any]):
    """An import that was accepted."""

    id = serializers.IntegerField()
    state = serializers.ChoiceField(choices=JobState.choices)
    format = serializers.ChoiceField(choices=PayloadFormat.choices)
    bytes = serializers.IntegerField()
    lines = serializers.IntegerField()
