"""Orders as a Django app."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    """The `orders` app."""

    name = "orders"

    def ready(self) -> None:
        """What is to be done now and then has been said, and what has to forget who is erased."""
        from orders.batch import erasing, expiring, working  # models must be loaded first
        from readmodels import chores
        from users import holders

        chores.register("orders.import", working.step, every_seconds=1)
        chores.register("orders.expire_imports", expiring.step, every_seconds=3600)
        holders.register("orders_importrejection", erasing.forget, is_rewritten=True)
