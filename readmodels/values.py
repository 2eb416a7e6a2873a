"""The values that the store writes and reads: documents and rows, and how they are laid out in Redis.

A document is one line (version, time, snapshot) and its body. A row is the length of its entry (6 digits), the entry
(msgpack: version, index members, shares of measures) and its body.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgpack

from readmodels import keys
from readmodels.conf import conf
from readmodels.errors import StoreLost

VERSION_LENGTH = 26
STORE_ID_LENGTH = 40
ROWS_IN_A_STEP = 500  # of a partition, for which Redis does nothing else meanwhile: 10 ms

# A script's name, keys and arguments.
Call = tuple[str, Sequence[str], Sequence[Any]]


@dataclass(frozen=True)
class Attempt:
    """What all writes of one snapshot share: when the attempt began (Redis's clock), and the version it writes."""

    started_ms: int
    version: str
    header: bytes
    store_id: str  # the Redis that is trusted; no other takes its writes
    markers: Sequence[str]


class DocumentWrite(NamedTuple):
    """A document as built; body None: it is gone."""

    read_model: str
    generation: int
    key: str
    body: str | None


class RowWrite(NamedTuple):
    """A row of a partition as built; body None: it is not (or no longer) in this partition.

    `members` are its index entries, `shares` its contributions by measure, integers as text.
    """

    read_model: str
    generation: int
    partition: str
    row_id: str
    body: str | None = None
    members: tuple[str, ...] = ()
    shares: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class StoredPage:
    """What one page of a partition holds, as stored."""

    progress: bytes | None
    members: list[bytes]
    bodies: list[bytes]
    measures: dict[str, int]


@dataclass(frozen=True)
class RecentRows:
    """Which rows of a partition were changed since a position: (row id, position, body; b"" where it left) each.

    Nothing is known of changes at or before `floor`. Positions of another `origin` are not comparable.
    """

    origin: str
    progress: bytes | None
    floor: int
    last: int
    changed: list[tuple[str, int, bytes]]


def bucket_of(write: DocumentWrite | RowWrite) -> int:
    """The bucket that a write goes to."""
    return keys.bucket_of(write.read_model, write.key if isinstance(write, DocumentWrite) else write.partition)


def put_documents_calls(attempt: Attempt, documents: Iterable[DocumentWrite]) -> list[Call]:
    """The calls that put the documents, one for each bucket."""
    names: dict[int, list[str]] = defaultdict(list)
    bodies: dict[int, list[str]] = defaultdict(list)
    for read_model, generation, key, body in documents:
        bucket, name = keys.located(read_model, generation, key)
        names[bucket].append(name)
        bodies[bucket].append(body or "")
    return [
        (
            "put_documents",
            [keys.marker(bucket), *of],
            [*_limits(attempt, bucket), attempt.header, *bodies[bucket]],
        )
        for bucket, of in names.items()
    ]


def put_rows_calls(attempt: Attempt, rows: Iterable[RowWrite]) -> list[Call]:
    """The calls that put the rows, one for each partition, or for a part of many rows of it."""
    groups: dict[tuple[str, int, str], list[RowWrite]] = defaultdict(list)
    for row in rows:
        groups[(row.read_model, row.generation, row.partition)].append(row)
    calls: list[Call] = []
    for name, group in groups.items():
        at = keys.partition(*name)
        places = [at.rows, at.index, at.measures, at.tombstones, keys.expiring(at.bucket), at.recent]
        limits = [*_limits(attempt, at.bucket), _entry(*name), conf().live_recent_rows]
        for first in range(0, len(group), ROWS_IN_A_STEP):
            some = group[first : first + ROWS_IN_A_STEP]
            arguments = [part for row in some for part in (row.row_id, _stored_row(row, attempt.version))]
            calls.append(("put_rows", [keys.marker(at.bucket), *places], [*limits, *arguments]))
    return calls


def expire_rows_call(bucket: int, entry: str, most_rows: int) -> Call:
    """The call that removes expired tombstones of a partition, by its entry among the bucket's expiring ones."""
    read_model, generation, partition = entry.split(":", 2)
    at = keys.partition(read_model, int(generation), partition)
    return "expire_rows", [at.rows, at.tombstones, keys.expiring(bucket)], [entry, most_rows]


def _entry(read_model: str, generation: int, partition: str) -> str:
    return f"{read_model}:{generation}:{partition}"


def _limits(attempt: Attempt, bucket: int) -> list[Any]:
    limit_ms, tombstone_ms = conf().attempt_seconds * 1000, conf().tombstone_seconds * 1000
    return [attempt.markers[bucket], attempt.started_ms, limit_ms, tombstone_ms, attempt.version]


def _stored_row(row: RowWrite, version: str) -> bytes:
    shares = [part for name, share in row.shares for part in (name, str(share))]
    entry = msgpack.packb((version, row.members, shares))
    return b"%06d%b%b" % (len(entry), entry, (row.body or "").encode())


def page_call(
    read_model: str, generation: int, partition: str, low: str, high: str, is_descending: bool, rows: int
) -> Call:
    """The call that reads a page between two bounds of the index."""
    at = keys.partition(read_model, generation, partition)
    names = [keys.marker(at.bucket), keys.progress(at.bucket), at.rows, at.index, at.measures]
    return "page", names, [low, high, "desc" if is_descending else "asc", rows]


def stored_page(answer: Sequence[Any]) -> StoredPage:
    """What such a call answered; raises StoreLost where the index names a row that is gone."""
    _, progress, members, rows, measures = answer
    if None in rows:
        raise StoreLost("a row of the page is gone")
    pairs = zip(measures[::2], measures[1::2], strict=True)
    bodies = [_split_row(row)[1] for row in rows]
    return StoredPage(progress, members, bodies, {name.decode(): int(total) for name, total in pairs})


def follow_call(read_model: str, generation: int, partition: str, since: int) -> Call:
    """The call that reads which rows of a partition were changed since a position, and has it known for a while."""
    at = keys.partition(read_model, generation, partition)
    names = [keys.marker(at.bucket), keys.progress(at.bucket), at.rows, at.recent]
    return "follow", names, [conf().live_recent_seconds * 1000, since]


def recent_rows(answer: Sequence[Any], store_id: str) -> RecentRows:
    """What such a call answered."""
    marker, progress, *more = answer
    if progress is None:
        return RecentRows("", None, 0, 0, [])
    floor, last, *flat = more
    rows = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    changed = [(row_id.decode(), int(at), _split_row(row)[1] if row else b"") for row_id, at, row in rows]
    return RecentRows(f"{store_id}{(marker or b'').decode()}", progress, int(floor), int(last), changed)


def _split_row(row: bytes) -> tuple[bytes, bytes]:
    """(entry, body) of a stored row."""
    end = 6 + int(row[:6])
    return row[6:end], row[end:]


def as_stored(write: DocumentWrite | RowWrite, value: bytes) -> DocumentWrite | RowWrite:
    """What is stored in the place of a write, in the same terms; body None: a tombstone."""
    if isinstance(write, RowWrite):
        return as_row(write, value)
    body = value.partition(b"\n")[2]
    return DocumentWrite(write.read_model, write.generation, write.key, body.decode() or None)


def header_of(write: DocumentWrite | RowWrite, value: bytes) -> str:
    """What is stored beside the body: a document's header, of a row the version alone."""
    if isinstance(write, RowWrite):
        return str(msgpack.unpackb(_split_row(value)[0])[0])
    return value.partition(b"\n")[0].decode()


def as_row(row: RowWrite, value: bytes) -> RowWrite:
    """The same for a row."""
    entry, body = _split_row(value)
    _, members, shares = msgpack.unpackb(entry)
    pairs = tuple((name, int(share)) for name, share in zip(shares[::2], shares[1::2], strict=True))
    return row._replace(body=body.decode() or None, members=tuple(members), shares=pairs)
