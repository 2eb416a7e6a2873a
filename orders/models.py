"""The write model of orders: the catalogue with its stock, and the orders with their lines.

Money is integer minor units (pence, cents). Defaults stand in the database too, so that rows written from psql or by
COPY need not name every column.
"""

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from orders.batch import models as batch_models  # noqa: F401  # Django looks for tables here
from orders.limits import ADDRESSABLE, LONGEST_NAME, LONGEST_SKU, MOST_PRICE_CENTS, MOST_STOCK
from orders.status import Status

CURRENCY_PATTERN = r"^[A-Z]{3}$"


class Product(models.Model):
    """Something sold, and how many are on the shelf; `version` goes up by one with each command that changes it."""

    # Validators speak at the field of the admin's form; the constraints below hold for every writer.
    sku = models.CharField(
        max_length=LONGEST_SKU, unique=True, validators=[RegexValidator(ADDRESSABLE, "Must hold no slash.")]
    )
    name = models.CharField(max_length=LONGEST_NAME)
    price_cents = models.BigIntegerField(validators=[MinValueValidator(0), MaxValueValidator(MOST_PRICE_CENTS)])
    currency = models.CharField(
        max_length=3,
        default="GBP",
        db_default="GBP",
        validators=[RegexValidator(CURRENCY_PATTERN, "Three capital letters, such as GBP.")],
    )
    stock = models.IntegerField(
        default=0, db_default=0, validators=[MinValueValidator(0), MaxValueValidator(MOST_STOCK)]
    )
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)

    class Meta:
        db_table = "orders_product"
        constraints = [
            models.CheckConstraint(condition=~Q(sku=""), name="orders_product_sku_is_not_empty"),
            models.CheckConstraint(condition=~Q(name=""), name="orders_product_name_is_not_empty"),
            models.CheckConstraint(condition=Q(price_cents__gte=0), name="orders_product_price_is_not_negative"),
            models.CheckConstraint(condition=Q(stock__gte=0), name="orders_product_stock_is_not_negative"),
            models.CheckConstraint(
                condition=Q(currency__regex=CURRENCY_PATTERN), name="orders_product_currency_is_a_code"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sku} {self.name}"


class Order(models.Model):
    """What a customer, or a guest (customer NULL), bought at one time. `version` counts its changes."""

    # An order is a record of money: a person is erased by making their row anonymous, never by deleting it.
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, models.PROTECT, related_name="orders", null=True, blank=True)
    status = models.CharField(max_length=16, choices=Status, default=Status.PLACED, db_default=Status.PLACED)
    total_cents = models.BigIntegerField(default=0, db_default=0)
    currency = models.CharField(max_length=3, default="GBP", db_default="GBP")
    placed_at = models.DateTimeField(default=timezone.now, db_default=Now())
    updated_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    # The retailer's InvoiceNo: an import that runs again does not double the order.
    external_ref = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)

    class Meta:
        db_table = "orders_order"
        indexes = [
            # The admin's list, newest first, and its date hierarchy.
            models.Index(F("placed_at").desc(), name="orders_order_newest_first"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(status__in=Status.values), name="orders_order_status_is_known"),
            models.CheckConstraint(condition=Q(total_cents__gte=0), name="orders_order_total_is_not_negative"),
            models.CheckConstraint(
                condition=Q(currency__regex=CURRENCY_PATTERN), name="orders_order_currency_is_a_code"
            ),
        ]

    def __str__(self) -> str:
        return f"Order {self.pk}"


class OrderLine(models.Model):
    """One product on an order, at the price of that moment; `position` counts from 1 within the order."""

    # The unique index on (order, position) begins with order_id: an index of its own would only cost writes.
    order = models.ForeignKey(Order, models.CASCADE, related_name="lines", db_index=False)
    position = models.PositiveIntegerField()
    product = models.ForeignKey(Product, models.PROTECT, related_name="order_lines")
    quantity = models.IntegerField()
    price_cents = models.BigIntegerField()

    class Meta:
        db_table = "orders_orderline"
        constraints = [
            # Serves "the lines of this order, in order".
            models.UniqueConstraint(fields=["order", "position"], name="orders_orderline_position_is_unique"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="orders_orderline_quantity_is_positive"),
            models.CheckConstraint(condition=Q(price_cents__gte=0), name="orders_orderline_price_is_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} x {self.product.sku}"
