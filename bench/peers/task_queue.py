"""The Celery application of those who project task by task; beside the project's, which Django's settings load."""

import os

from celery import Celery

BROKER = os.environ["BROKER_URL"].replace("unix://", "redis+socket://").replace("?db=", "?virtual_host=")
app = Celery("peers", broker=BROKER, include=["bench.peers.task_per_change"], set_as_current=False)
app.conf.update(task_ignore_result=True, task_default_queue="peers")
if "CELERY_DB_REUSE_MAX" in os.environ:
    app.conf.CELERY_DB_REUSE_MAX = int(os.environ["CELERY_DB_REUSE_MAX"])
