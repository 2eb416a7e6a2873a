"""(2) A received payload -> a job, with the payload in pieces that a worker can read one at a time."""

from collections.abc import Iterator
from typing import IO

from django.db import connection

from orders.batch.models import ImportJob
from orders.batch.receiving import Received

# A worker reads a whole part for each chunk; a chunk is some thousand bytes.
PART_BYTES = 65_536


def start_import(payload: Received, created_by_id: int | None) -> ImportJob:
    """The payload is kept, and will be worked off; called in the transaction that does both."""
    job = ImportJob.objects.create(
        format=payload.format,
        created_by_id=created_by_id,
        bytes=payload.bytes,
        lines=payload.lines,
        columns=payload.columns,
    )
    # COPY: with DEBUG on, Django remembers the text of each INSERT.
    copying = "COPY orders_importpart (job_id, ends_at, data) FROM STDIN (FORMAT BINARY)"
    with connection.cursor() as cursor, cursor.copy(copying) as copy:
        copy.set_types(["int8", "int8", "bytea"])
        for ends_at, data in _parts(payload.file):
            copy.write_row((job.pk, ends_at, data))
    return job


def _parts(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """(end, whole lines) until the file's end."""
    ends_at, held = 0, bytearray()
    for line in file:
        held += line
        if len(held) >= PART_BYTES:
            ends_at += len(held)
            yield ends_at, bytes(held)
            held.clear()
    if held:
        yield ends_at + len(held), bytes(held)
