"""The Celery application: `celery -A worker worker`, `celery -A worker beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

app = Celery("worker")
app.config_from_object("worker.config")
app.autodiscover_tasks()
