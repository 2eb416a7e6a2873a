"""Celery's way, timed: tasks wait in a queue until their worker is told to take from it."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psutil
import redis
from celery import Celery

from bench.ground import Ground
from bench.workers import worker
from project import child

APP = "bench.peers.celery_app"
LIMIT_SECONDS = 90


def addresses() -> dict[str, str]:
    """Beside ours, in databases of their own on the same servers."""
    broker = os.environ["BROKER_URL"].replace("unix://", "redis+socket://").replace("?db=0", "?virtual_host=1")
    return {"PEERS_BROKER_URL": broker, "PEERS_REDIS_URL": os.environ["REDIS_URL"].replace("?db=0", "?db=1")}


def values() -> redis.Redis:
    """Where the peers put their documents."""
    return redis.Redis.from_url(addresses()["PEERS_REDIS_URL"])


@contextmanager
def idle_worker(ground: Ground, name: str, **environ: str) -> Iterator[psutil.Process]:
    """A worker of two processes that takes nothing yet, until the block ends."""
    # Celery's command line takes BROKER_URL from the environment, unless told otherwise.
    before = ["-A", APP, f"--broker={addresses()['PEERS_BROKER_URL']}", "worker"]
    options = ["--concurrency=2", "--queues=nothing", f"--hostname={name}@bench", "--loglevel=INFO"]
    command = [sys.executable, "-m", "celery", *before, *options]
    with worker(ground, name, command, **addresses(), **environ) as process:
        yield process


def send(task: str, arguments: Sequence[Any]) -> None:
    """A task waits for each of these arguments, and nothing is in Redis that any made before."""
    values().flushdb()
    with _sender() as app:
        for argument in arguments:
            app.send_task(f"{APP}.{task}", [argument], queue="peers", ignore_result=True)


def drain(name: str, documents: int) -> None:
    """The worker of this name has taken all that waits, and made so many documents."""
    found, at = values(), [f"{name}@bench"]
    with _sender() as app:
        app.control.add_consumer("peers", destination=at)
        if not child.wait_until(lambda: found.dbsize() >= documents, LIMIT_SECONDS):
            raise SystemExit(f"{name} made {found.dbsize()} of {documents} documents")
        app.control.cancel_consumer("peers", destination=at)


def _sender() -> Celery:
    return Celery("sender", broker=addresses()["PEERS_BROKER_URL"], set_as_current=False)
