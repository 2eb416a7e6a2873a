"""Orders as a Django app."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """The `orders` app."""

    name = "orders"

    def ready(self) -> None:
        """What is to be done now and then has been said."""
        from orders.batch import expiring, working  # models must be loaded first
        from readmodels import chores

        chores.register("orders.import", working.step, every_seconds=1)
        chores.register("orders.expire_imports", expiring.step, every_seconds=3600)
