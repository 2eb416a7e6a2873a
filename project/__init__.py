"""The composition root. The Celery application is loaded with Django, so that tasks published here find its broker."""

from worker import app as celery_app

__all__ = ["celery_app"]
