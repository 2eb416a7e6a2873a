"""The Celery application: `celery -A worker worker`, `celery -A worker beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")


def broker_url(url: str) -> str:
    """The broker's address as Celery takes it, which calls a unix socket by another scheme than redis-py."""
    return url.replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")


if "CELERY_BROKER_URL" in os.environ:
    # Celery's command line has put BROKER_URL there, past the settings, before it loads this.
    os.environ["CELERY_BROKER_URL"] = broker_url(os.environ["CELERY_BROKER_URL"])

app = Celery("worker")
app.config_from_object("worker.config")
app.autodiscover_tasks()
