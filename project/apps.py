"""The composition root as a Django app: it carries the commands that start everything."""

from django.apps import AppConfig
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection, reset_queries


class ProjectConfig(AppConfig):
    """Commands `up` and `demo`."""

    name = "project"

    def ready(self) -> None:
        """Called once apps are loaded. Where there is no database, no request looks for one to be closed."""
        if connection.vendor == "unknown":
            request_started.disconnect(reset_queries)
            request_started.disconnect(close_old_connections)
            request_finished.disconnect(close_old_connections)
