"""Users in Django's admin. Saving goes by the ORM, not by commands: capture sees it either way.

Django's forms and admin classes take their type argument in the stubs only, hence the ignores.
"""

from functools import partial
from typing import Any, ClassVar, cast

import knox.admin  # noqa: F401  # registers what is taken back below
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminUserCreationForm, UserChangeForm
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F, QuerySet
from django.http import HttpRequest
from knox.models import AuthToken

from users.admin_history import note_change
from users.erasure import Erased, complete, erase_customer
from users.guesses import TooManyGuesses, guess
from users.models import Erasure, User, normalise_email

# Knox's page would make a token for anybody, and show it. Whoever has to be signed out is deactivated.
admin.site.unregister(AuthToken)


FLAGS = ("is_active", "is_staff", "is_support", "is_catalogue", "is_superuser")


class LimitedLogIn(AdminAuthenticationForm):
    """The admin's log-in: failures are counted with those at the API. Staff get in while Redis is away, to mend it."""

    def clean(self) -> dict[str, Any]:
        """Called with the form; the password of a refused attempt is not looked at."""
        if not (self.cleaned_data.get("username") and self.cleaned_data.get("password")):
            return super().clean()
        try:
            attempt = guess(cast(HttpRequest, self.request), self.cleaned_data["username"], is_open=True)
        except TooManyGuesses as error:
            raise ValidationError(str(error), code="too_many_requests") from None
        cleaned = super().clean()  # raises where the two do not belong to an active member of staff
        attempt.succeeded()
        return cleaned


admin.site.login_form = LimitedLogIn


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
    list_display: tuple[str, ...] = ("email", "name", "country", "is_active", "is_staff", "version")
    list_filter = (*FLAGS, "country")
    search_fields = ("email", "name", "external_ref")
    readonly_fields: ClassVar[tuple[str, ...]] = ("version", "external_ref", "created_at", "last_login")
    actions = ("deactivate", "reactivate", "erase")
    fieldsets: ClassVar[tuple[Any, ...]] = (
        (None, {"fields": ("email", "password", "name", "country")}),
        ("Permissions", {"fields": (*FLAGS, "groups", "user_permissions")}),
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
        changed = _set_active(users, False)
        note_change(request, changed, "Deactivated and signed out.")
        self.message_user(request, f"{len(changed)} users deactivated.")

    @admin.action(description="Reactivate", permissions=["change"])
    @transaction.atomic
    def reactivate(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """The users can sign in again."""
        changed = _set_active(users, True)
        note_change(request, changed, "Reactivated.")
        self.message_user(request, f"{len(changed)} users reactivated.")

    @admin.action(description="Erase the person", permissions=["delete"])
    def erase(self, request: HttpRequest, users: QuerySet[User]) -> None:
        """Nothing says who they were any more, by the command `erase_customer`; their orders stay."""
        # An erased user may not be among the users of the list's filter any more.
        chosen = list(users)
        refused = [user.pk for user in chosen if user.is_staff and not cast(User, request.user).is_superuser]
        user_ids = [user.pk for user in chosen if user.pk not in refused]
        for user_id in user_ids:
            with transaction.atomic():
                erased = erase_customer(user_id=user_id, by=request.user.pk)
                note_change(request, [erased.user], "Erased.")
                transaction.on_commit(partial(self._complete, request, erased))
        self.message_user(request, f"{len(user_ids)} users erased.")
        if refused:
            self.message_user(request, f"{len(refused)} left: only a superuser may erase staff.", messages.WARNING)

    def _complete(self, request: HttpRequest, erased: Erased) -> None:
        receipt = complete(erased)
        if not receipt.is_verified:
            text = f"User {receipt.user_id}: not everything is gone yet, or was not looked at; see the receipt."
            self.message_user(request, text, messages.WARNING)


@admin.register(Erasure)
class ErasureAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Receipts, to be read only."""

    list_display = ("user_id", "by_id", "began_at", "completed_at", "is_verified")
    list_filter = ("is_verified",)
    search_fields = ("=user_id",)
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody: `erase_customer` writes them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Erasure | None = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Erasure | None = None) -> bool:
        """Nobody: they say whom to erase again after a restore."""
        return False


def _set_active(users: QuerySet[User], is_active: bool) -> list[User]:
    """The users whose state this changed, under the next version."""
    chosen = User.objects.filter(pk__in=[user.pk for user in users]).exclude(is_active=is_active)
    changed = list(chosen.select_for_update(no_key=True).order_by("pk"))
    found = User.objects.filter(pk__in=[user.pk for user in changed])
    found.update(is_active=is_active, version=F("version") + 1)
    return changed
