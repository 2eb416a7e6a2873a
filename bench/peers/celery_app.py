"""Celery as its guide to Django has it: a task for each changed order, or one for many; each makes JSON and SETs it.

`DB_REUSE_MAX` in the environment is Celery's setting of how many tasks share a connection to PostgreSQL; without it
each has one of its own.
"""

import os

import django
import redis
from celery import Celery

app = Celery("peers", broker=os.environ["PEERS_BROKER_URL"], set_as_current=False)
app.conf.task_ignore_result = True
app.conf.worker_hijack_root_logger = False
if "DB_REUSE_MAX" in os.environ:
    app.conf.CELERY_DB_REUSE_MAX = int(os.environ["DB_REUSE_MAX"])
django.setup()

client = redis.Redis.from_url(os.environ["PEERS_REDIS_URL"])


@app.task  # type: ignore[untyped-decorator]  # celery has no types
def by_orm(order_id: int) -> None:
    """One order's document, loaded by the ORM."""
    from bench.peers.order_by_orm import document

    client.set(f"bench:order:{order_id}", document(order_id))


@app.task  # type: ignore[untyped-decorator]  # celery has no types
def by_sql(order_ids: list[int]) -> None:
    """Many orders' documents, made by PostgreSQL; whoever comes last wins, older or not."""
    from bench.peers.sql_built import documents

    client.mset({f"bench:order:{pk}": body for pk, body in documents(order_ids)})
