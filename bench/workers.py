"""Workers at work on the ground, and changes that wait for them until the time is taken."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import psutil
from django.db import connection
from django.utils import timezone

from bench.ground import Ground
from project import child, site
from readmodels import outbox, tasks
from readmodels.models import Shard
from readmodels.outbox import Lane

POLL_SECONDS = 0.02
SETTLE_SECONDS = 0.2
HELD_SECONDS = 300
HOLDER = "bench"


@contextmanager
def worker(ground: Ground, name: str, command: list[str], **environ: str) -> Iterator[psutil.Process]:
    """A Celery worker takes tasks, until the block ends."""
    with ground.process(name, command, **environ) as process:
        ground.wait_until_said(name, " ready.")
        yield process


@contextmanager
def beat(ground: Ground) -> Iterator[psutil.Process]:
    """Sweeps are due each second, until the block ends; whoever measures something else may suspend it meanwhile."""
    with ground.process("beat", site.beat_command(ground.folder)) as process:
        try:
            yield process
        finally:
            process.resume()


@contextmanager
def held(lane: Lane) -> Iterator[None]:
    """What is changed in the block waits: no projector has a shard of the lane. At its end all is free, and known."""
    if not child.wait_until(lambda: _is_held(lane), 10):
        raise SystemExit("a projector holds a shard though nothing is to be projected")
    try:
        yield
        time.sleep(SETTLE_SECONDS)  # the wakes of these changes have come and found nothing to take
    finally:
        Shard.objects.filter(holder=HOLDER).update(holder=None, held_until=None)
    tasks.wake()


def _is_held(lane: Lane) -> bool:
    """What is free of the lane is taken; whether that is all now."""
    until = timezone.now() + timedelta(seconds=HELD_SECONDS)
    Shard.objects.bulk_create((Shard(number=number) for number in lane.value), ignore_conflicts=True)
    Shard.objects.filter(number__in=lane.value, holder=None).update(holder=HOLDER, held_until=until)
    return not Shard.objects.filter(number__in=lane.value).exclude(holder=HOLDER).exists()


def until_projected(limit_seconds: float) -> None:
    """Nothing is pending any more, in any lane."""
    deadline = time.monotonic() + limit_seconds
    while _is_pending():
        if time.monotonic() > deadline:
            raise SystemExit(f"{outbox.backlog_rows()} changes are still pending after {limit_seconds} s")
        time.sleep(POLL_SECONDS)


def _is_pending() -> bool:
    """Looks for the newest change, which is projected last: from the other end it would pass over all that was deleted,
    at the cost of what is measured.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM readmodels_change")
        return cursor.fetchone()[0] is not None


def values_written(ground: Ground, name: str) -> int:
    """How many documents and rows the worker says in its log that it has written so far."""
    return sum(int(count) for count in re.findall(r"event='projected'.* writes=(\d+)", ground.said(name)))
