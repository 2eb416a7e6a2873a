"""Users in Django's admin. Saving goes by the ORM, not by commands: capture sees it either way.

Django's forms and admin classes take their type argument in the stubs only, hence the ignores.
"""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest
from knox.models import AuthToken

from users.commands import erase_user
from users.models import User, normalise_email


class NormalisedEmail:
    """A form whose e-mail is compared as it is stored."""

    cleaned_data: dict[str, Any]

    def clean_email(self) -> str:
        """Return the e-mail in the form the table holds; called by the form, before it looks for another user."""
        return normalise_email(self.cleaned_data["email"])


class AddUserForm(NormalisedEmail, AdminUserCreationForm):  # type: ignore[type-arg]
    """A new user with e-mail, name and password."""

    class Meta:
        model = User
        fields = ("email", "name")
        field_classes = {"email": forms.EmailField}


class ChangeUserForm(NormalisedEmail, UserChangeForm):  # type: ignore[type-arg]
    """A user there already; the password has a page of its own."""

    class Meta:
        model = User
        fields = "__all__"
        field_classes = {"email": forms.EmailField}


@admin.register(User)
class UserAdmin(DjangoUserAdmin):  # type: ignore[type-arg]
    """Users: found by e-mail or name, deactivated in bulk."""

    form = ChangeUserForm
    add_form = AddUserForm
    ordering = ("-id",)
    list_display = ("email", "name", "country", "is_active", "is_staff", "version")
    list_filter = ("is_active", "is_staff", "country")
    search_fields = ("email", "name", "external_ref")
    readonly_fields = ("version", "external_ref", "created_at", "last_login")
    actions = ("deactivate", "reactivate", "erase")
    fieldsets = (
        (None, {"fields": ("email", "password", "name", "country")}),
        ("Permissions", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Record", {"fields": ("version", "external_ref", "created_at", "last_login")}),
    )
    add_fieldsets = (
        (None, {"classes": ("wide",), "fields": ("email", "name", "usable_password", "password1", "password2")}),
    )

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Write what the form changed, under the next version; called by the add and change pages, in a transaction."""
        if not change:
            obj.save()
            return
        if "is_active" in form.changed_data and not obj.is_active:
            AuthToken.objects.filter(user=obj).delete()
        obj.version = F("version") + 1
        columns = {field.name for field in obj._meta.concrete_fields}
        obj.save(update_fields=[*columns.intersection(form.changed_data), "version"])

    @admin.action(description="Deactivate and sign out", permissions=["change"])
    @transaction.atomic
    def deactivate(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """The users can't sign in and are signed out everywhere, as by the command `deactivate_user`."""
        AuthToken.objects.filter(user__in=users).delete()
        changed = users.filter(is_active=True).update(is_active=False, version=F("version") + 1)
        self.message_user(request, f"{changed} users deactivated.")

    @admin.action(description="Reactivate", permissions=["change"])
    def reactivate(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """The users can sign in again."""
        changed = users.filter(is_active=False).update(is_active=True, version=F("version") + 1)
        self.message_user(request, f"{changed} users reactivated.")

    @admin.action(description="Erase the person", permissions=["delete"])
    def erase(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """Nothing says who they were any more, by the command `erase_user`; their orders stay."""
        for user in users:
            erase_user(user_id=user.pk)
        self.message_user(request, f"{users.count()} users erased.")
