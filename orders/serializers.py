"""What commands on orders and products take and answer."""

from typing import Any

from django.core.validators import RegexValidator
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from orders.limits import (
    ADDRESSABLE,
    LONGEST_NAME,
    LONGEST_SKU,
    MOST_LINES,
    MOST_PER_LINE,
    MOST_PRICE_CENTS,
    MOST_STOCK,
)
from orders.status import Status
from users.serializers import LARGEST_ID, StrictBoolean, StrictChange, StrictInput, StrictInteger, StrictText, shown


class LineInput(StrictInput):
    """One line of a new order."""

    sku = StrictText(max_length=LONGEST_SKU)
    quantity = StrictInteger(min_value=1, max_value=MOST_PER_LINE)


def _example(name: str, summary: str, **whose: Any) -> OpenApiExample:
    value = {"lines": [{"sku": "P-00001", "quantity": 2}], **whose}
    return OpenApiExample(name, value, summary=summary, request_only=True)


# One made up from the schema would name a customer and a guest, and be refused.
@extend_schema_serializer(
    examples=[
        _example("own", "One's own order"),
        _example("customer", "A customer's order, by support", customer_id=1),
        _example("guest", "A guest's order, by support", is_guest=True),
    ]
)
class PlaceOrderInput(StrictInput):
    """A new order, one's own unless support say whose; a guest's has no customer."""

    lines = LineInput(many=True, allow_empty=False, max_length=MOST_LINES)  # type: ignore[call-arg]
    customer_id = StrictInteger(min_value=1, max_value=LARGEST_ID, required=False)
    is_guest = StrictBoolean(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Called once every field is valid."""
        if attrs.get("is_guest") and "customer_id" in attrs:
            raise ValidationError({"is_guest": ["A guest's order has no customer_id."]}, code="contradiction")
        return attrs


@shown("A mug", {"sku": "MUG-1", "name": "Mug", "price_cents": 1250, "stock": 20, "currency": "GBP"})
class CreateProductInput(StrictInput):
    """A new product. Its code is part of its address, so it holds no slash."""

    sku = StrictText(max_length=LONGEST_SKU, validators=[RegexValidator(ADDRESSABLE, "Must hold no slash.")])
    name = StrictText(max_length=LONGEST_NAME)
    price_cents = StrictInteger(min_value=0, max_value=MOST_PRICE_CENTS)
    stock = StrictInteger(min_value=0, max_value=MOST_STOCK, required=False)
    currency = StrictText(max_length=3, required=False)


@shown("Another price", {"price_cents": 990})
class ChangeProductInput(StrictChange):
    """What a product's page can change."""

    name = StrictText(max_length=LONGEST_NAME, required=False)
    price_cents = StrictInteger(min_value=0, max_value=MOST_PRICE_CENTS, required=False)


@shown("Ten more", {"quantity": 10})
class RestockInput(StrictInput):
    """How many more are on the shelf; below zero: fewer."""

    quantity = StrictInteger(min_value=-MOST_STOCK, max_value=MOST_STOCK)


class OrderState(serializers.Serializer[Any]):
    """An order after a command."""

    id = serializers.IntegerField()
    version = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Status.choices)
    customer_id = serializers.IntegerField(allow_null=True)
    total_cents = serializers.IntegerField()
    currency = serializers.CharField()


class ProductState(serializers.Serializer[Any]):
    """A product after a command."""

    sku = serializers.CharField()
    version = serializers.IntegerField()
    name = serializers.CharField()
    price_cents = serializers.IntegerField()
    currency = serializers.CharField()
    stock = serializers.IntegerField()
