"""The order as Django REST framework would have it, with the entries of the read model OrderDetail."""

from rest_framework import serializers

from orders.models import Order, OrderLine
from users.models import User


class LineSerializer(serializers.ModelSerializer[OrderLine]):
    """One line, with its product's name."""

    sku = serializers.CharField(source="product.sku")
    name = serializers.CharField(source="product.name")
    amount_cents = serializers.SerializerMethodField()

    class Meta:
        model = OrderLine
        fields = ["position", "sku", "name", "quantity", "price_cents", "amount_cents"]

    def get_amount_cents(self, line: OrderLine) -> int:
        """What the line costs."""
        return line.quantity * line.price_cents


class CustomerSerializer(serializers.ModelSerializer[User]):
    """Whose order it is."""

    class Meta:
        model = User
        fields = ["id", "name"]


class OrderSerializer(serializers.ModelSerializer[Order]):
    """One order with its customer and lines."""

    customer = CustomerSerializer()
    lines = LineSerializer(many=True)

    class Meta:
        model = Order
        fields = [
            "id",
            "status",
            "currency",
            "total_cents",
            "placed_at",
            "updated_at",
            "version",
            "customer",
            "lines",
        ]
