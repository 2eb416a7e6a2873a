"""(5) The chore that makes orders of payloads: each step does one chunk of the oldest import that is not over.

A chunk is one transaction: its orders, its rejections, and how far the payload is done. A worker killed at any moment
has done a chunk or not, and the next one goes on exactly there. Orders are placed by the same command as over HTTP, so
by the same rules: at today's prices, off today's shelf. A payload that ends its worker five times in a row is given up.
"""

import time
from collections.abc import Iterator
from contextlib import suppress

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.utils import timezone

from orders.batch import placing
from orders.batch.errors import Rejected
from orders.batch.judging import Wanted, judge
from orders.batch.models import OPEN, ImportJob, ImportRejection, JobState
from orders.batch.reading import Found, orders

log = structlog.get_logger()

# The rows that a chunk locks are locked until its end, and others' orders wait for it: a fraction of a second.
CHUNK_ORDERS = 50
CHUNK_LINES = 500
CHUNK_SECONDS = 0.5
MOST_ATTEMPTS = 5
KEPT_REJECTIONS = 100

Judged = list[tuple[Found, Wanted | Rejected]]


def step() -> bool:
    """One chunk more is done; False: there is none to do, or others are at it. Raises OperationalError and the like."""
    job = _begun()
    if job is None:
        return False
    if job.state == JobState.FAILED:
        return True
    try:
        return _do_chunk(job.pk)
    except (OperationalError, InterfaceError):
        # A server that is away, or a lock not given, is no fault of the payload.
        with suppress(DatabaseError, InterfaceError):
            ImportJob.objects.filter(pk=job.pk).update(attempts=0)
        raise


@transaction.atomic
def _begun() -> ImportJob | None:
    """The job that the next chunk is of, the attempt counted: committed before the work, in case that kills us."""
    free = ImportJob.objects.select_for_update(skip_locked=True, no_key=True)
    job = free.filter(state__in=OPEN).order_by("pk").first()
    if job is None:
        return None
    if job.attempts >= MOST_ATTEMPTS:
        where = f"after line {job.lines_read}: the worker ended {job.attempts} times there"
        _end(job, JobState.FAILED, f"Given up {where}.")
    else:
        job.attempts += 1
        job.state = JobState.RUNNING
        job.started_at = job.started_at or timezone.now()
    job.save()
    return job


@transaction.atomic
def _do_chunk(job_id: int) -> bool:
    free = ImportJob.objects.select_for_update(skip_locked=True, no_key=True)
    job = free.filter(pk=job_id, state=JobState.RUNNING).first()
    if job is None:  # somebody was first
        return False
    judged = [(found, judge(found)) for found in _chunk(orders(job))]
    placing.lock([wanted for _, wanted in judged if isinstance(wanted, Wanted)])
    rejected = list(_made(job, judged))
    _note(job, rejected)
    if job.position == job.bytes or not judged:
        job.lines_read = job.lines
        _end(job, JobState.DONE)
    job.attempts = 0
    job.save()
    job.parts.filter(ends_at__lte=job.position).delete()
    return True


def _chunk(found: Iterator[Found]) -> Iterator[Found]:
    count, lines = 0, 0
    for each in found:
        yield each
        count, lines = count + 1, lines + len(each.lines)
        if count >= CHUNK_ORDERS or lines >= CHUNK_LINES:
            return


def _made(job: ImportJob, judged: Judged) -> Iterator[Rejected]:
    """Each is an order, or rejected; the job's position is after the last that there was time for."""
    deadline = time.monotonic() + CHUNK_SECONDS
    taken = placing.taken([wanted for _, wanted in judged if isinstance(wanted, Wanted)])
    for found, wanted in judged:
        rejected = wanted if isinstance(wanted, Rejected) else placing.place(found, wanted, taken)
        if rejected is None:
            job.orders_made += 1
        else:
            job.orders_rejected += 1
            yield rejected
        job.position, job.lines_read = found.last.ends_at, found.last.number
        if time.monotonic() > deadline:
            return


def _note(job: ImportJob, rejected: list[Rejected]) -> None:
    """The first rejections are kept, the others only counted (by the caller, already)."""
    room = KEPT_REJECTIONS - (job.orders_rejected - len(rejected))
    ImportRejection.objects.bulk_create(
        ImportRejection(job=job, line=each.line, code=each.code, detail=each.detail)
        for each in rejected[: max(room, 0)]
    )


def _end(job: ImportJob, state: JobState, failure: str | None = None) -> None:
    """The job is over and its payload gone, once the caller has saved it."""
    job.state, job.failure, job.finished_at = state, failure, timezone.now()
    job.parts.all().delete()
    log.info("import_over", job=job.pk, state=state.value, made=job.orders_made, rejected=job.orders_rejected)
