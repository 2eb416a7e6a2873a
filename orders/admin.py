"""Products and orders in Django's admin. Saving goes by the ORM, not by commands: capture sees it either way.

What commands guard (stock, totals, the moves of an order) is read only here, or changed by actions that keep to it.
Django's admin classes take their type argument in the stubs only, hence the ignores.
"""

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from orders import import_admin, money  # noqa: F401  # the admin looks for its pages here
from orders.models import Order, OrderLine, Product
from orders.status import MOVES, Status
from users.admin import UserAdmin
from users.admin_history import note_change
from users.models import User


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """The catalogue: found by code or name."""

    list_display = ("sku", "name", "price", "stock", "version")
    list_filter = ("currency",)
    search_fields = ("sku", "name")
    ordering = ("sku",)
    readonly_fields = ("version",)

    def get_readonly_fields(self, request: HttpRequest, obj: Product | None = None) -> tuple[str, ...]:
        """Stock is given once: a page open for a minute would write back what was sold since. Restock by command."""
        return ("version",) if obj is None else ("version", "sku", "stock")

    def has_delete_permission(self, request: HttpRequest, obj: Product | None = None) -> bool:
        """On its own page, and while no order has it: what was sold stays. Called without `obj` for the list."""
        if obj is None or obj.order_lines.exists():
            return False
        return super().has_delete_permission(request, obj)

    @admin.display(ordering="price_cents")
    def price(self, product: Product) -> str:
        """The price of one."""
        return money.as_text(product.price_cents, product.currency)

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
    fields = readonly_fields = ("position", "product", "quantity", "price")
    ordering = ("position",)
    extra = 0
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[OrderLine]:
        """With what a line shows: the code of its product, the currency of its order."""
        return super().get_queryset(request).select_related("product", "order")

    @admin.display
    def price(self, line: OrderLine) -> str:
        """The price of one when it was ordered."""
        return money.as_text(line.price_cents, line.order.currency)

    def has_add_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        """A line added here would take no stock and leave the total wrong."""
        return False


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Orders with their lines: found by customer or invoice number, moved in bulk."""

    list_display = ("id", "customer_link", "status", "total", "placed_at")
    list_filter = ("status", "currency")
    list_select_related = ("customer",)
    search_fields = ("=id", "=external_ref", "customer__email", "customer__name")
    date_hierarchy = "placed_at"
    ordering = ("-placed_at",)
    inlines = (OrderLineInline,)
    actions = ("mark_paid", "mark_shipped", "mark_delivered")
    raw_id_fields = ("customer",)
    readonly_fields = ("status", "total", "placed_at", "updated_at", "version", "external_ref")
    fields = ("customer", *readonly_fields)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Orders are placed by the command, which takes the stock."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Order | None = None) -> bool:
        """An order is a record of money, and deleting it gives no stock back: it is cancelled or refunded."""
        return False

    @admin.display(description="customer", ordering="customer__email", empty_value="guest")
    def customer_link(self, order: Order) -> str | None:
        """The customer, leading to their page."""
        if order.customer is None:
            return None
        page = reverse("admin:users_user_change", args=[order.customer.pk])
        return format_html('<a href="{}">{}</a>', page, order.customer)

    @admin.display(ordering="total_cents")
    def total(self, order: Order) -> str:
        """What the order costs."""
        return money.as_text(order.total_cents, order.currency)

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

    @transaction.atomic
    def _move(self, request: HttpRequest, orders: QuerySet[Order], to_status: Status) -> None:
        # The status is judged in rows that are locked: none of these moves touches stock. `orders` may be filtered by
        # status, so it is read once, before.
        chosen = [order.pk for order in orders]
        sources = [status for status, allowed in MOVES.items() if to_status in allowed]
        locked = Order.objects.select_for_update(no_key=True).order_by("pk")
        movable = list(locked.filter(pk__in=chosen, status__in=sources))
        moving = Order.objects.filter(pk__in=[order.pk for order in movable])
        moving.update(status=to_status, updated_at=timezone.now(), version=F("version") + 1)
        note_change(request, movable, f"Marked as {to_status}.")
        self.message_user(request, f"{len(movable)} of {len(chosen)} orders are {to_status} now.")


admin.site.unregister(User)


@admin.register(User)
class CustomerAdmin(UserAdmin):
    """Users as `users` shows them, leading to their orders, of which only this app knows."""

    list_display = (*UserAdmin.list_display, "orders")
    readonly_fields = (*UserAdmin.readonly_fields, "orders")
    fieldsets = (*UserAdmin.fieldsets, ("Shop", {"fields": ("orders",)}))

    @admin.display
    def orders(self, user: User) -> str:
        """The list of their orders."""
        page = reverse("admin:orders_order_changelist", query={"customer__id__exact": user.pk})
        return format_html('<a href="{}">orders</a>', page)
