"""What happens around each task: a connection that broke is replaced before it is used again."""

from typing import Any

from celery.signals import task_prerun
from django.db import close_old_connections


@task_prerun.connect
def replace_broken_connections(**kwargs: Any) -> None:
    """Connections that met an error and no longer answer are closed; the next statement opens a new one."""
    close_old_connections()
