"""One Celery task for each change, sent when it has committed: it loads the order by the ORM and keeps it as JSON."""

import os

import redis

from bench.peers.order_by_orm import document
from bench.peers.task_queue import app

client = redis.Redis.from_url(os.environ["REDIS_URL"])


@app.task  # type: ignore[untyped-decorator]  # celery has no types
def put_order(order_id: int) -> None:
    """The order is kept as it is now."""
    client.set(f"bench:order:{order_id}", document(order_id))
