"""Users as a Django app."""

from django.apps import AppConfig


class UsersConfig(AppConfig):
    """The `users` app."""

    name = "users"
