"""What happens around a worker and each task: it refuses a Redis that evicts, a connection that broke is replaced
before it is used again, none waits for ever or looks for garbage in what is no garbage.
"""

import gc
import sys
from contextlib import suppress
from typing import Any

from celery.signals import task_prerun, worker_init, worker_process_init
from django.db import close_old_connections

from readmodels import message


@worker_init.connect
def demand_noeviction(**kwargs: Any) -> None:
    """The worker ends with exit code 2 where Redis may evict; called once, before it takes any task.

    One that does not answer may come later, and readiness tells then. An exception would be logged and passed over by
    Celery; SystemExit is not.
    """
    from readmodels import errors, eviction  # the settings are not loaded while Celery is

    try:
        with suppress(errors.StoreUnavailable):
            eviction.demand()
    except errors.MayEvict as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


@worker_process_init.connect
def limit_patience(**kwargs: Any) -> None:
    """A statement that PostgreSQL does not finish ends its task; called once in each process that runs tasks."""
    from readmodels import patience  # the settings are not loaded while Celery is

    patience.limit()


@worker_process_init.connect
def leave_out_of_collections(**kwargs: Any) -> None:
    """What is loaded by now stays, and is not looked through for garbage again and again: that took up to 80 ms, in
    which a change waits. Called once in each process that runs tasks (Python's documentation, gc.freeze).
    """
    gc.freeze()


@task_prerun.connect
def replace_broken_connections(sender: Any, **kwargs: Any) -> None:
    """Connections that met an error and no longer answer are closed; the next statement opens a new one.

    The task that each wake starts does so itself, once an attempt has failed: a look at each start is a trip to
    PostgreSQL. The sweep that comes each second to the same process closes a connection that is too old.
    """
    if sender.name != message.TASK:
        close_old_connections()
