"""Products and orders in Django's admin. Saving goes by the ORM, not by commands: capture sees it either way.

What commands guard (stock, totals, the moves of an order) is read only here, or changed by actions that keep to it.
Django's admin classes take their type argument in the stubs only, hence the ignores.
"""

from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from orders.models import Order, OrderLine, Product
from orders.status import MOVES, Status


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The catalogue: found by code or name."""

    list_display = ("sku", "name", "price_cents", "currency", "stock", "version")
    list_filter = ("currency",)
    search_fields = ("sku", "name")
    ordering = ("sku",)
    readonly_fields = ("version",)

    def get_readonly_fields(self, request: HttpRequest, obj: Product | None = None) -> tuple[str, ...]:
        """Stock is given once: a page open for a minute would write back what was sold since. Restock by command."""
        return ("version",) if obj is None else ("version", "sku", "stock")

    def save_model(self, request: HttpRequest, obj: Product, form: Any, change: bool) -> None:
        """Write what the form changed, under the next version; called by the add and change pages."""
        if change:
            obj.version = F("version") + 1
            obj.save(update_fields=[*form.changed_data, "version"])
        else:
            obj.save()


class OrderLineInline(admin.TabularInline):  # type: ignore[type-arg]
    """The lines of an order, as they were when it was placed."""

    model = OrderLine
    fields = readonly_fields = ("position", "product", "quantity", "price_cents")
    ordering = ("position",)
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        """A line added here would take no stock and leave the total wrong."""
        return False


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Orders with their lines: found by customer or invoice number, moved in bulk."""

    list_display = ("id", "customer", "status", "total_cents", "currency", "placed_at", "version")
    list_filter = ("status", "currency")
    list_select_related = ("customer",)
    search_fields = ("=id", "=external_ref", "customer__email", "customer__name")
    date_hierarchy = "placed_at"
    ordering = ("-placed_at",)
    inlines = (OrderLineInline,)
    actions = ("mark_paid", "mark_shipped", "mark_delivered")
    raw_id_fields = ("customer",)
    readonly_fields = ("status", "total_cents", "currency", "placed_at", "updated_at", "version", "external_ref")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Orders are placed by the command, which takes the stock."""
        return False

    def save_model(self, request: HttpRequest, obj: Order, form: Any, change: bool) -> None:
        """Write the customer under the next version; called by the change page, which adds no order."""
        obj.version = F("version") + 1
        obj.updated_at = timezone.now()
        obj.save(update_fields=[*form.changed_data, "updated_at", "version"])

    @admin.action(description="Mark as paid", permissions=["change"])
    def mark_paid(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """The placed ones are paid."""
        self._move(request, orders, Status.PAID)

    @admin.action(description="Mark as shipped", permissions=["change"])
    def mark_shipped(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """The paid ones are shipped."""
        self._move(request, orders, Status.SHIPPED)

    @admin.action(description="Mark as delivered", permissions=["change"])
    def mark_delivered(self, request: HttpRequest, orders: QuerySet[Order]) -> None:
        """The shipped ones are delivered."""
        self._move(request, orders, Status.DELIVERED)

    def _move(self, request: HttpRequest, orders: QuerySet[Order], to_status: Status) -> None:
        # One UPDATE that judges the status in the row it locks: none of these moves touches stock.
        movable = orders.filter(status__in=[status for status, allowed in MOVES.items() if to_status in allowed])
        moved = movable.update(status=to_status, updated_at=timezone.now(), version=F("version") + 1)
        self.message_user(request, f"{moved} of {orders.count()} orders are {to_status} now.")
