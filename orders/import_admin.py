"""Imports in Django's admin, to be looked at: the API starts them, and what is left of one goes by itself."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from orders.batch.models import ImportJob, ImportRejection


class ReadOnly:
    """Nobody adds, changes or deletes."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Called with `obj` by an inline only."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Called with and without `obj`."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Called with and without `obj`."""
        return False


class ImportRejectionInline(ReadOnly, admin.TabularInline):  # type: ignore[type-arg]
    """The first orders that were rejected."""

    model = ImportRejection
    fields = ("line", "code", "detail")
    ordering = ("line",)
    extra = 0


@admin.register(ImportJob)
class ImportJobAdmin(ReadOnly, admin.ModelAdmin):  # type: ignore[type-arg]
    """Imports, newest first, with how far they are."""

    list_display = ("id", "state", "created_by", "created_at", "lines", "lines_read", "orders_made", "orders_rejected")
    list_filter = ("state", "format")
    list_select_related = ("created_by",)
    ordering = ("-id",)
    inlines = (ImportRejectionInline,)
