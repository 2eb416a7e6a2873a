"""The composition root as a Django app: it carries the commands that start everything."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """Commands `up` and `demo`."""

    name = "project"
