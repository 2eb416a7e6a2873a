"""Users as a Django app."""

from django.apps import AppConfig


class UsersConfig(AppConfig):
    """The `users` app."""

    name = "users"

    def ready(self) -> None:
        """What is to be done now and then has been said."""
        from readmodels import chores
        from users import kept_answers  # models must be loaded first

        # True where it found as many as one step takes: there may be more.
        chores.register("users.forget_expired", kept_answers.forget_some, every_seconds=60)
