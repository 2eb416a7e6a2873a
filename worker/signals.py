"""What happens around each task: a connection that broke is replaced before it is used again, none waits for ever."""

from typing import Any

from celery.signals import task_prerun, worker_process_init
from django.db import close_old_connections


@worker_process_init.connect
def limit_patience(**kwargs: Any) -> None:
    """A statement that PostgreSQL does not finish ends its task; called once in each process that runs tasks."""
    from readmodels import patience  # the settings are not loaded while Celery is

    patience.limit()


@task_prerun.connect
def replace_broken_connections(**kwargs: Any) -> None:
    """Connections that met an error and no longer answer are closed; the next statement opens a new one."""
    close_old_connections()
