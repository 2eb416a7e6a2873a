"""The composition root as a Django app: it carries the commands that start everything."""

from django.apps import AppConfig

from project import kept_open


class ProjectConfig(AppConfig):
    """Commands `up` and `demo`."""

    name = "project"

    def ready(self) -> None:
        """Called once apps are loaded."""
        kept_open.look_after_where_used()
