"""The engine as a Django app: finds the declarations, installs capture on migrate, wakes the worker on commit."""

from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate


class ReadModelsConfig(AppConfig):
    """The `readmodels` app."""

    name = "readmodels"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Read models are declared and checked; connections made from now on wake the worker."""
        from readmodels import checks, declare, tasks, wake  # models must be loaded first

        declare.autodiscover()
        checks.register()
        connection_created.connect(wake.on_connection(tasks.wake), weak=False, dispatch_uid="readmodels.wake")
        post_migrate.connect(_deploy, sender=self, dispatch_uid="readmodels.deploy")


def _deploy(**kwargs: Any) -> None:
    """Called once per `migrate`, after the last migration, outside of its transactions."""
    from readmodels import generations

    generations.deploy()
