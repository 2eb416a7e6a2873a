"""The write model of users: those who sign in and those an import brought along, and what commands answered."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower, Now
from django.utils import timezone


class UserManager(BaseUserManager["User"]):
    """Makes users with their e-mail normalised and their password hashed."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Insert a user; without a password nobody can sign in as them. Checks nothing that the table does not."""
        user = self.model(email=normalise_email(email), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Insert a user who may do everything; called by `manage.py createsuperuser`."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user of this e-mail in any case; called by sign-in."""
        return self.get(email=normalise_email(username or ""))


class User(AbstractBaseUser, PermissionsMixin):
    """A person: customer, staff or both. `version` goes up by one with each command that changes the row."""

    email = models.EmailField(unique=True, error_messages={"unique": "Another user has this e-mail."})
    name = models.CharField(max_length=200)
    country = models.CharField(max_length=60, blank=True, default="", db_default="")
    # The retailer's CustomerID: an import that runs again finds the user by it.
    external_ref = models.CharField(max_length=64, unique=True, null=True, blank=True, editable=False)
    is_active = models.BooleanField(default=True, db_default=True)
    is_staff = models.BooleanField(default=False, db_default=False)
    # What staff do: support sees and changes customers and orders, catalogue the products. A superuser does both.
    is_support = models.BooleanField(default=False, db_default=False)
    is_catalogue = models.BooleanField(default=False, db_default=False)
    # Defaults in the database too, so that rows written from psql or by COPY need not name these columns.
    version = models.PositiveIntegerField(default=1, db_default=1, editable=False)
    created_at = models.DateTimeField(default=timezone.now, db_default=Now(), editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        db_table = "users_user"
        constraints = [
            # With this check the plain unique index on email compares case-insensitively.
            models.CheckConstraint(condition=Q(email=Lower("email")), name="users_user_email_is_lower_case"),
            models.CheckConstraint(condition=~Q(name=""), name="users_user_name_is_not_empty"),
            models.CheckConstraint(
                condition=Q(is_staff=True) | Q(is_support=False, is_catalogue=False),
                name="users_user_roles_are_for_staff",
                violation_error_message="Only staff have the roles support and catalogue.",
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def clean(self) -> None:
        """Normalise the e-mail; called by model forms before the constraints are checked."""
        self.email = normalise_email(self.email)

    def get_full_name(self) -> str:
        """Return the name; the admin greets with it."""
        return self.name

    def get_short_name(self) -> str:
        """Return the name."""
        return self.name


class KeptAnswer(models.Model):
    """What a command answered, as long as its idempotency key may be repeated (users/kept_answers.py)."""

    digest = models.CharField(max_length=64, primary_key=True)
    fingerprint = models.CharField(max_length=64)
    # Both for erasure. No constraints: a user who is deleted meanwhile must not fail a command that has done its work.
    asked_by = models.ForeignKey(User, models.CASCADE, null=True, db_constraint=False, related_name="+")
    about = models.ForeignKey(User, models.CASCADE, null=True, db_constraint=False, related_name="+")
    status = models.PositiveSmallIntegerField()
    headers = models.JSONField()
    body = models.TextField()
    # Indexed for forget_expired.
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        db_table = "users_kept_answer"

    def __str__(self) -> str:
        return self.digest


class Erasure(models.Model):
    """A receipt: that a person was erased, and what was found of them and where. Holds nothing personal but the id,
    which leads to nobody any more; it stays when the user's row goes.
    """

    user_id = models.BigIntegerField(db_index=True)
    # Who asked for it; NULL: the command line.
    by_id = models.BigIntegerField(null=True)
    began_at = models.DateTimeField(db_default=Now())
    # When read models and the engine's records were last done with; NULL: they are still to be.
    completed_at = models.DateTimeField(null=True)
    # It was looked everywhere for what was theirs alone, and nothing is left.
    is_verified = models.BooleanField(default=False, db_default=False)
    places = models.JSONField(default=list)
    left = models.JSONField(default=dict)
    unlooked = models.JSONField(default=list)

    class Meta:
        db_table = "users_erasure"

    def __str__(self) -> str:
        return f"Erasure of user {self.user_id}"


def normalise_email(email: str) -> str:
    """Return the e-mail as it is stored and looked up: no outer spaces, lower case."""
    return email.strip().lower()
