"""How tasks run: the Celery application, its queues and its schedule. Which tasks there are, the apps say."""

from worker import signals
from worker.celery import app

__all__ = ["app", "signals"]
