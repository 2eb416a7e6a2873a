"""ReadModels as a Django app."""

from django.apps import AppConfig


class ReadModelsConfig(AppConfig):
    """The `readmodels` app."""

    name = "readmodels"
