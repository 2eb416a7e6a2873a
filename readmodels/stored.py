"""What is stored, in the terms of what was written: for the drift check and what mends it.

Reads a bounded number of values at a time, each with the marker of its bucket, so that what is read of a bucket that
was lost meanwhile can be told apart. Nothing here blocks Redis for longer than MOST_ROWS rows take, but for a
large partition that is written to all the time, and for `even_out`, which sets a whole partition right in one step.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha1
from secrets import randbelow

import msgpack

from readmodels import keys
from readmodels.generations import Generation
from readmodels.keys import PartitionKeys
from readmodels.store import Store
from readmodels.values import VERSION_LENGTH, Call, DocumentWrite, RowWrite, as_stored, bucket_of, header_of

# A document or row by its name alone; as a write, it says that nothing is there.
Place = DocumentWrite | RowWrite

MOST_ROWS = 5_000  # of a partition in one step: 10 ms of Redis's time; larger ones are read in two passes
PASSES = 3  # twice over; then, if it has no more rows than this, a partition is read in one step all the same
MOST_ROWS_OF_BUSY = 20_000
SCAN_COUNT, SCANS = 1_000, 20  # keys that a scan passes at a time, and how often: 10 ms of Redis's time
UNREADABLE = "unreadable"  # as a version it is higher than any
PROBES = 64  # of the keys, each at random, for a sample


@dataclass(frozen=True)
class Value:
    """What is stored in one place. `raw` is None where there is nothing, `write` where it can't be read either.

    A tombstone is a write of body None.
    """

    version: str
    raw: bytes | None
    write: Place | None

    @cached_property
    def digest(self) -> str:
        """Tells it from anything else; '' where there is nothing. Of most nobody asks for it."""
        return "" if self.raw is None else sha1(self.raw, usedforsecurity=False).hexdigest()

    @property
    def is_served(self) -> bool:
        """Whether a query would find anything here."""
        return self.raw is not None and (self.write is None or self.write.body is not None)

    def shows(self, build: Place | None) -> bool:
        """Whether this is what a fresh build gives; None: there is nothing to build."""
        return not self.is_served if build is None else self.write == build


@dataclass(frozen=True)
class Found:
    """What is stored in some places, on this server, and the markers that their buckets carried after it was read."""

    store_id: str
    values: dict[Place, Value]
    markers: dict[int, str]


@dataclass
class Weight:
    """What the rows of a partition add up to, and whether index and measures are exactly that."""

    members: int = 0
    totals: Counter[str] = field(default_factory=Counter)
    is_even: bool = True

    def add(self, entry: bytes) -> tuple[str, ...]:
        """One row's entry is counted in; returns its index members. One that can't be read counts nothing."""
        try:
            _, members, shares = msgpack.unpackb(entry)
            counted = {name: int(share) for name, share in zip(shares[::2], shares[1::2], strict=True)}
        except (ValueError, TypeError, msgpack.UnpackException):
            return ()
        self.members += len(members)
        self.totals.update(counted)
        return tuple(members)

    def is_measured_by(self, measures: Sequence[bytes]) -> bool:
        """Whether the measures, as flat pairs, are the totals; what adds up to nothing has no field."""
        pairs = zip(measures[::2], measures[1::2], strict=True)
        return {name: total for name, total in self.totals.items() if total} == {
            name.decode(): _number(total) for name, total in pairs
        }


def place_of(write: Place) -> Place:
    """The place that a write goes to."""
    if isinstance(write, RowWrite):
        return RowWrite(write.read_model, write.generation, write.partition, write.row_id)
    return DocumentWrite(write.read_model, write.generation, write.key, None)


class Stored:
    """One generation of a read model as it is stored."""

    def __init__(self, store: Store, generation: Generation) -> None:
        self._store = store
        self._name = generation.plan.name
        self._number = generation.number
        self._is_document = generation.plan.kind == "document"

    def look(self, places: Collection[Place]) -> Found:
        """What is stored in these places. Markers are read last: one that is right was right before, too."""
        buckets = sorted({bucket_of(place) for place in places})
        asked = [self._get(place) for place in places] + [("GET", keys.marker(bucket)) for bucket in buckets]
        if not asked:
            return Found("", {}, {})
        store_id, answers = self._store.ask(asked)
        values = {place: _value(place, raw) for place, raw in zip(places, answers, strict=False)}
        markers = zip(buckets, answers[len(places) :], strict=True)
        return Found(store_id, values, {bucket: marker.decode() for bucket, marker in markers if marker})

    def documents(self, scan: int, most: int) -> tuple[int, list[Place]]:
        """(where to go on, 0 at the end; the next documents or tombstones), of a scan over all keys."""
        scan, names = self._scan(scan, most)
        return scan, [DocumentWrite(self._name, self._number, name, None) for name in names]

    def partitions(self, scan: int, most: int) -> tuple[int, list[str]]:
        """The same for partitions: those that have rows, and those of which only index or measures are left."""
        scan, names = self._scan(scan, most)
        found = [name.removesuffix(keys.ROWS) for name in names if name.endswith(keys.ROWS)]
        left = {name.rpartition(":")[0] for name in names if name.endswith((":index", ":measures"))} - set(found)
        if left:
            exist = self._store.ask([("EXISTS", self._at(name).rows) for name in sorted(left)])[1]
            found += [name for name, exists in zip(sorted(left), exist, strict=True) if not exists]
        return scan, found

    def rows(self, partition: str, scan: int, most: int) -> tuple[int, list[Place]]:
        """(where to go on, 0 at the end; the next rows of a partition that are no tombstones)."""
        _, [(following, flat)] = self._store.ask([("HSCAN", self._at(partition).rows, scan, "COUNT", most)])
        pairs = zip(flat[::2], flat[1::2], strict=True)
        served = [row_id.decode(errors="replace") for row_id, value in pairs if not _is_tombstone(value)]
        return int(following), [RowWrite(self._name, self._number, partition, row_id) for row_id in served]

    def sample(self, most: int) -> list[Place]:
        """About so many documents or rows, met by looking at random parts of the key space and of partitions."""
        size = self._store.ask([("DBSIZE",)])[1][0]
        found: dict[Place, None] = {}
        for _ in range(PROBES):
            # Any number is a cursor: it says from which part of the hash table on to look.
            cursor = randbelow(1 << max(int(size), 1).bit_length())
            names = self._names_at(cursor, max(100, 4 * most // PROBES))[1]
            if self._is_document:
                found |= {DocumentWrite(self._name, self._number, name, None): None for name in names}
            else:
                found |= dict.fromkeys(self._some_rows(names, most))
            if len(found) >= most:
                break
        return list(found)[:most]

    def uneven(self, partitions: Sequence[str], markers: Sequence[str]) -> tuple[list[str], list[str]]:
        """(partitions whose index or measures are not exactly what their rows add up to, those that can't be told).

        Rows, index and measures change in one step, so one reading of one moment is enough: nothing that is under way
        can make them differ. Not in a bucket that does not carry its marker, nor in a large partition that changed in
        the midst of each reading.
        """
        uneven: list[str] = []
        unsettled: list[str] = []
        for name, marker, weight in self._weights(partitions):
            if weight is None or marker != markers[self._at(name).bucket]:
                unsettled.append(name)
            elif not weight.is_even:
                uneven.append(name)
        return uneven, unsettled

    def even_out(self, partitions: Sequence[str], markers: Sequence[str], store_id: str) -> None:
        """Index and measures of these partitions are exactly what their rows say; not in a bucket that was lost."""
        calls: list[Call] = []
        for at in map(self._at, partitions):
            names = [keys.marker(at.bucket), at.rows, at.index, at.measures, f"{at.measures}:scratch"]
            calls.append(("even_out", names, [markers[at.bucket]]))
        self._store.run(calls, store_id)

    def forget(self, digests: Mapping[Place, str], markers: Sequence[str], store_id: str) -> None:
        """The places that hold exactly this hold nothing."""
        calls: list[Call] = []
        for place, digest in digests.items():
            bucket = bucket_of(place)
            names, row_id = [keys.marker(bucket), self._get(place)[1]], ""
            if isinstance(place, RowWrite):
                row_id = place.row_id
                names.append(self._at(place.partition).recent)
            calls.append(("forget", names, [markers[bucket], digest, row_id]))
        self._store.run(calls, store_id)

    # Partitions

    def _weights(self, partitions: Sequence[str]) -> Iterator[tuple[str, str, Weight | None]]:
        """(partition, marker of its bucket, its weight) of each; some at a time, of no more than MOST_ROWS rows."""
        sizes = self._store.ask([("HLEN", self._at(name).rows) for name in partitions])[1] if partitions else []
        for group in _groups(zip(partitions, sizes, strict=True)):
            for name, (marker, *parts) in zip(group, self._store.run([self._weigh(n) for n in group]), strict=True):
                weight = self._weigh_large(name) if parts == [b"large"] else _weight(*parts)
                yield name, (marker or b"").decode(), weight

    def _weigh(self, partition: str, most_rows: int | None = None) -> Call:
        at = self._at(partition)
        return "weigh", [keys.marker(at.bucket), at.rows, at.index, at.measures], [most_rows or MOST_ROWS]

    def _weigh_large(self, partition: str) -> Weight | None:
        """In passes, which hold nobody up; where it is written to all the time, in one step, unless it is too large."""
        for _ in range(PASSES):
            if weight := self._weigh_in_passes(self._at(partition)):
                return weight
        [(_, *parts)] = self._store.run([self._weigh(partition, MOST_ROWS_OF_BUSY)])
        return None if parts == [b"large"] else _weight(*parts)

    def _weigh_in_passes(self, at: PartitionKeys) -> Weight | None:
        """The weight of a large partition at the moment between two passes over its rows; None: it was written to.

        A row that both passes met in the same version was so at that moment, and its index entries were there as long.
        If as many rows were met as there are, none was met twice or missed.
        """
        first, weight = self._pass(at, Weight())
        _, (rows, members, measures) = self._store.ask(
            [("HLEN", at.rows), ("ZCARD", at.index), ("HGETALL", at.measures)]
        )
        second, _ = self._pass(at, None)
        if first != second or first[0] != rows or weight is None:
            return None
        weight.is_even = weight.is_even and weight.members == members and weight.is_measured_by(measures)
        return weight

    def _pass(self, at: PartitionKeys, weight: Weight | None) -> tuple[tuple[int, int], Weight | None]:
        """((rows met, a sum over their ids and entries), what they add up to, where that is asked for)."""
        scan, rows, digest = 0, 0, 0
        while True:
            _, [(following, flat)] = self._store.ask([("HSCAN", at.rows, scan, "COUNT", SCAN_COUNT)])
            entries = [(row_id, _entry(value)) for row_id, value in zip(flat[::2], flat[1::2], strict=True)]
            rows += len(entries)
            digest += sum(int.from_bytes(sha1(b"%s %s" % pair, usedforsecurity=False).digest()) for pair in entries)
            if weight is not None and entries:
                members = [member for _, entry in entries for member in weight.add(entry)]
                scores = self._store.ask([("ZMSCORE", at.index, *members)])[1][0] if members else []
                weight.is_even = weight.is_even and None not in scores
            if not (scan := int(following)):
                return (rows, digest), weight

    def _at(self, partition: str) -> PartitionKeys:
        return keys.partition(self._name, self._number, partition)

    # Keys

    def _get(self, place: Place) -> tuple[str, ...]:
        if isinstance(place, RowWrite):
            return "HGET", self._at(place.partition).rows, place.row_id
        return "GET", keys.document(place.read_model, place.generation, place.key)

    def _scan(self, scan: int, most: int) -> tuple[int, list[str]]:
        """(where to go on, names of about so many keys); a bounded number of steps, so it may be none."""
        names: list[str] = []
        count = min(SCAN_COUNT, most)
        for _ in range(SCANS):
            scan, some = self._names_at(scan, count)
            names += some
            if not scan or len(names) >= most:
                break
            count = min(SCAN_COUNT, 2 * count)  # other read models' keys are passed over more quickly
        return scan, names

    def _names_at(self, scan: int, count: int) -> tuple[int, list[str]]:
        pattern, stem = keys.pattern(self._name, self._number), f":{self._name}:{self._number}:"
        _, [(following, found)] = self._store.ask([("SCAN", scan, "MATCH", pattern, "COUNT", count)])
        return int(following), [key.decode(errors="replace").split(stem, 1)[1] for key in found]

    def _some_rows(self, names: Iterable[str], most: int) -> Iterator[Place]:
        partitions = [name.removesuffix(keys.ROWS) for name in names if name.endswith(keys.ROWS)]
        each = max(1, most // 10)
        if partitions:
            asked = [("HRANDFIELD", self._at(name).rows, each) for name in partitions]
            for name, row_ids in zip(partitions, self._store.ask(asked)[1], strict=True):
                yield from (
                    RowWrite(self._name, self._number, name, row_id.decode(errors="replace")) for row_id in row_ids
                )


def _value(place: Place, raw: bytes | None) -> Value:
    if raw is None:
        return Value("", None, None)
    try:
        version = header_of(place, raw)[:VERSION_LENGTH]
        if isinstance(place, DocumentWrite) and b"\n" not in raw:
            raise ValueError("no header")
        return Value(version, raw, as_stored(place, raw))
    except (ValueError, TypeError, IndexError, msgpack.UnpackException):
        return Value(UNREADABLE, raw, None)


def _weight(entries: Sequence[bytes], index: Sequence[bytes], measures: Sequence[bytes]) -> Weight:
    weight = Weight()
    members = {member for entry in entries for member in weight.add(entry)}
    weight.is_even = members == {member.decode(errors="replace") for member in index}
    weight.is_even = weight.is_even and weight.is_measured_by(measures)
    return weight


def _groups(sizes: Iterable[tuple[str, int]]) -> Iterator[list[str]]:
    """The names, some at a time, of no more than MOST_ROWS rows together (one that has more counts little: it is not
    read whole).
    """
    group: list[str] = []
    rows = 0
    for name, size in sizes:
        counted = min(size, MOST_ROWS)
        if group and rows + counted > MOST_ROWS:
            yield group
            group, rows = [], 0
        group.append(name)
        rows += counted
    if group:
        yield group


def _entry(value: bytes) -> bytes:
    """The entry of a stored row, as put_rows.lua writes it; what can't be read as one is it whole."""
    return value[6 : 6 + int(value[:6])] if value[:6].isdigit() else value


def _is_tombstone(value: bytes) -> bool:
    return value[:6].isdigit() and len(value) == 6 + int(value[:6])


def _number(text: bytes) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None
