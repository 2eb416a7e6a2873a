"""Step 6: the store. Everything that is said to Redis is said here.

Values are replaced only by values of a higher version (the version guard), in Lua, so that duplicates, delays and
zombies are harmless; every write checks its bucket's marker in the same call, so that none lands in a bucket that was
lost meanwhile, and every connection knows which run of which server it leads to, so that a copy that took over is not
taken for the one before.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from hashlib import sha1
from pathlib import Path
from typing import Any, NamedTuple, cast

import redis

from readmodels import connection, keys, limits
from readmodels.conf import conf
from readmodels.connection import Command, Identified
from readmodels.errors import AttemptTooOld, EpochMoved, StoreLost, StoreMoved
from readmodels.limits import Limit, Limits, Taken
from readmodels.values import (
    STORE_ID_LENGTH,
    VERSION_LENGTH,
    Attempt,
    Call,
    DocumentWrite,
    RecentRows,
    RowWrite,
    StoredPage,
    as_stored,
    expire_rows_call,
    follow_call,
    header_of,
    page_call,
    put_documents_calls,
    put_rows_calls,
    recent_rows,
    stored_page,
)

SCRIPTS = Path(__file__).parent / "scripts"
# Keys per SCAN; nobody else is answered meanwhile. On a busy machine with 2 cores one of 1,000 keys took 6 ms and one
# of 100 took 0.2 ms; half of the reads beside it took longer than 5.2 ms and 0.6 ms.
SCANNED = 100


@dataclass(frozen=True)
class StoreState:
    """What the server says of itself, and the heartbeat that it holds, in one answer."""

    store_id: str
    evicted_keys: int
    eviction_policy: str
    heartbeat: bytes | None


class Ready(NamedTuple):
    """Commands as they are sent, to be sent again and again: so many looks, then calls of these scripts."""

    packed: bytes
    looks: int
    scripts: tuple[str, ...]


class Store:
    """The read models' Redis; raises StoreUnavailable where it does not answer."""

    def __init__(self, client: Identified | None = None) -> None:
        self._client = client or connection.read_models()

    # Writing

    def now_ms(self) -> int:
        """Redis's own clock, by which the age of an attempt is judged."""
        return connection.clock_ms(self._client)

    def begun_ms(self) -> int:
        """The same, or a little earlier, for an attempt that begins: it may be taken for older than it is."""
        return connection.recent_ms(self._client, conf().attempt_seconds / 12)

    def apply(self, attempt: Attempt, writes: Sequence[DocumentWrite | RowWrite]) -> None:
        """Every write is stored, or a newer one is. Raises StoreLost, AttemptTooOld or EpochMoved if one is refused,
        StoreMoved where another server answers than the one that the attempt trusts.
        """
        documents = [write for write in writes if isinstance(write, DocumentWrite)]
        rows = [write for write in writes if isinstance(write, RowWrite)]
        calls = put_documents_calls(attempt, documents)
        # A move puts first, then takes off: a row is for a moment in two partitions, never in none.
        calls += put_rows_calls(attempt, [row for row in rows if row.body is not None])
        calls += put_rows_calls(attempt, [row for row in rows if row.body is None])
        for answer in self.run(calls, attempt.store_id):
            _require_ok(answer)

    def put_progress(
        self, buckets: Iterable[int], markers: Sequence[str], version: str, store_id: str, value: str
    ) -> None:
        """The progress of these buckets is at least this; a bucket that was lost is left alone.

        It holds for the server of this id, and is not read from another.
        """
        stored = f"{version}{store_id:-<{STORE_ID_LENGTH}}{value}"
        self.run([("put_if_newer", [keys.marker(b), keys.progress(b)], [markers[b], version, stored]) for b in buckets])

    def expire_rows(self, buckets: Sequence[int], most_rows: int) -> None:
        """Tombstones of rows that have expired are gone from a few partitions of these buckets, so many of each."""
        now = self.now_ms()
        due = [("ZRANGEBYSCORE", keys.expiring(bucket), "-inf", now, "LIMIT", 0, 100) for bucket in buckets]
        found = zip(buckets, self.ask(due)[1], strict=True)
        self.run(
            [expire_rows_call(bucket, entry.decode(), most_rows) for bucket, entries in found for entry in entries]
        )

    # Reading

    def document(self, read_model: str, generation: int, key: str) -> tuple[bytes | None, bytes | None]:
        """(progress of the bucket, document) in one command."""
        return self.documents(read_model, generation, [key])[0]

    def documents(self, read_model: str, generation: int, of: Sequence[str]) -> list[tuple[bytes | None, bytes | None]]:
        """The same for several keys, in one round trip."""
        store_id, found = self.ask([look(read_model, generation, key) for key in of])
        return [(_trusted(progress, store_id), document) for progress, document in found]

    def see(self, look: bytes, beside: Ready) -> tuple[list[tuple[bytes | None, bytes | None]], list[Any]]:
        """(the same by a look and by those beside it, what the scripts beside it answer) in one round trip."""
        looks = 1 + beside.looks
        commands, count = look + beside.packed, looks + len(beside.scripts)
        try:
            store_id, answers = connection.ask_packed(self._client, commands, count)
        except redis.exceptions.NoScriptError:
            self._load(beside.scripts)
            store_id, answers = connection.ask_packed(self._client, commands, count)
        return [(_trusted(progress, store_id), document) for progress, document in answers[:looks]], answers[looks:]

    def page(
        self, read_model: str, generation: int, partition: str, low: str, high: str, *, is_descending: bool, rows: int
    ) -> StoredPage:
        """One page between two bounds of the index (as ZRANGEBYLEX takes them), with the partition's measures."""
        [page] = self._pages([page_call(read_model, generation, partition, low, high, is_descending, rows)])
        return page

    def measures(self, read_model: str, generation: int, partitions: Sequence[str]) -> list[StoredPage]:
        """The measures of several partitions, without rows, in one round trip."""
        return self._pages([page_call(read_model, generation, name, "-", "+", False, 0) for name in partitions])

    def heads(
        self, documents: Sequence[tuple[str, int, str]], partitions: Sequence[tuple[str, int, str]]
    ) -> tuple[str, list[bytes]]:
        """(id of the server, what is different once the document or partition is) in one round trip.

        Of a document its version, of a partition the position of its last change; b"" where nothing is known. Each is
        named by read model, generation and key.
        """
        commands: list[tuple[Any, ...]] = [("GET", keys.progress(0))]
        commands += [("GETRANGE", keys.document(*name), 0, VERSION_LENGTH - 1) for name in documents]
        commands += [("ZREVRANGE", keys.partition(*name).recent, 0, 0, "WITHSCORES") for name in partitions]
        store_id, [progress, *found] = self.ask(commands)
        _trusted(progress, store_id)
        return store_id, [head if isinstance(head, bytes) else b"".join(head[1:]) for head in found]

    def follow(self, of: Sequence[tuple[str, int, str, int]]) -> list[RecentRows]:
        """What was changed in partitions (read model, generation, key) since a position; kept known for a while."""
        store_id, answers = self._call([follow_call(*each) for each in of])
        found = [recent_rows(answer, store_id) for answer in answers]
        return [replace(each, progress=_trusted(each.progress, store_id)) for each in found]

    def progress(self, bucket: int = 0) -> bytes | None:
        """The progress kept in a bucket; each sweep writes all of them."""
        return self.all_progress([bucket])[0]

    def all_progress(self, buckets: Iterable[int] = range(keys.BUCKETS)) -> list[bytes | None]:
        """The same for several buckets."""
        store_id, found = self.ask([("GET", keys.progress(bucket)) for bucket in buckets])
        return [_trusted(progress, store_id) for progress in found]

    # Heartbeat, epoch, pointers, markers, leases

    def state(self) -> StoreState:
        """What the server says of itself now."""
        with connection.available():
            pipeline = self._client.pipeline(transaction=False)
            pipeline.info()
            pipeline.get(keys.HEARTBEAT)
            info, heartbeat = pipeline.execute()
        return StoreState(info["run_id"], info["evicted_keys"], info["maxmemory_policy"], heartbeat)

    def put_heartbeat(self, expected: bytes | None, value: bytes) -> bool:
        """The heartbeat is this; False: it was not the expected one, and stays."""
        return self.run([("replace", [keys.HEARTBEAT], [expected or "", value])]) == [b"ok"]

    def epoch(self) -> int:
        """The greatest epoch that was ever written here; 0 where none was."""
        with connection.available():
            return int(cast(bytes, self._client.get(keys.EPOCH) or b"0"))

    def raise_epoch(self, epoch: int) -> None:
        """The epoch here is at least the given one."""
        self.run([("raise_to", [keys.EPOCH], [epoch])])

    def pointers(self) -> dict[str, int]:
        """Which generation a fingerprint, or a read model's name, is served from."""
        with connection.available():
            found = cast(dict[bytes, bytes], self._client.hgetall(keys.POINTERS))
        return {name.decode(): int(number) for name, number in found.items()}

    def point(self, pointers: dict[str, int]) -> None:
        """Exactly these pointers stand, all at once."""
        with connection.available():
            pipeline = self._client.pipeline(transaction=True)
            pipeline.delete(keys.POINTERS)
            if pointers:
                pipeline.hset(keys.POINTERS, mapping=cast(dict[Any, Any], pointers))
            pipeline.execute()

    def markers(self) -> tuple[str | None, ...]:
        """The markers that the buckets carry."""
        _, found = self.ask([("GET", keys.marker(bucket)) for bucket in range(keys.BUCKETS)])
        return tuple(marker.decode() if marker else None for marker in found)

    def begin_buckets(self, markers: Mapping[int, str]) -> None:
        """The buckets are empty and carry these markers: writes may come; without progress no query is answered.

        Raises StoreLost where another process has begun one of them meanwhile.
        """
        emptying = {bucket: f"emptying:{marker}" for bucket, marker in markers.items()}
        # 1. From here on nobody writes to the buckets, and no query is answered from what is half gone.
        with connection.available():
            pipeline = self._client.pipeline(transaction=False)
            for bucket, marker in emptying.items():
                pipeline.set(keys.marker(bucket), marker)
                pipeline.delete(keys.progress(bucket))
            pipeline.execute()
        # 2. Each removal asks for the marker: after a pause the buckets may be another process's, and full again.
        for found in self._found_in(emptying):
            self._empty((bucket, emptying[bucket], emptying[bucket], names) for bucket, names in found.items())
        # 3. Writes may come.
        self._empty((bucket, emptying[bucket], marker, []) for bucket, marker in markers.items())

    def drop(self, read_model: str, generation: int, on_batch: Callable[[], object] = lambda: None) -> None:
        """Nothing of this generation is left. Goes in small steps, so that nobody waits for it; what `on_batch`, called
        after each, raises ends it.
        """
        position, is_first = 0, True
        while position or is_first:
            with connection.available():
                position, found = self._client.scan(position, match=keys.pattern(read_model, generation), count=SCANNED)
                pipeline = self._client.pipeline(transaction=False)
                for key in found:
                    pipeline.unlink(key)
                pipeline.execute()
            is_first = False
            on_batch()

    def take_lease(self, name: str, holder: str, seconds: int) -> bool:
        """The lease, if it was free, is the holder's for so long; returns whether it was."""
        _, [is_taken] = self.ask([("SET", keys.lease(name), holder, "NX", "PX", seconds * 1000)])
        return bool(is_taken)

    def give_back(self, name: str, holder: str) -> None:
        """The holder's lease is free; one that ran out and went to another is left alone."""
        self.keep_lease(name, holder, 0)

    def keep_lease(self, name: str, holder: str, seconds: int) -> None:
        """The lease runs anew, if it is still the holder's."""
        self.run([("hold", [keys.lease(name)], [holder, seconds * 1000])])

    def stamped(self, writes: Sequence[DocumentWrite | RowWrite]) -> list[tuple[str, DocumentWrite | RowWrite] | None]:
        """What is stored in the place of each write, after what is stored beside it: a document's header, a row's
        version. Body None for a tombstone, None where there is nothing.
        """
        at = [
            ("GET", keys.document(write.read_model, write.generation, write.key))
            if isinstance(write, DocumentWrite)
            else ("HGET", keys.partition(write.read_model, write.generation, write.partition).rows, write.row_id)
            for write in writes
        ]
        pairs = zip(writes, self.ask(at)[1] if at else [], strict=True)
        return [None if value is None else (header_of(write, value), as_stored(write, value)) for write, value in pairs]

    # Limits

    def take(self, wanted: Sequence[Limit]) -> Taken:
        """One of each limit, or of none."""
        if not wanted:
            return limits.NOTHING_TAKEN
        return limits.taken(Limits(wanted), self.run([limits.take_call(wanted)])[0])

    def return_to(self, given: Sequence[Limit], *, is_all: bool = False) -> None:
        """Each limit has one back, or all that was taken."""
        self.run([limits.give_back_call(given, is_all=is_all)])

    def remember(self, name: str, of: str, seconds: int) -> None:
        """It is known for so long, beside the limits."""
        self.ask([("SET", keys.limit(name, of), 1, "EX", seconds)])

    def is_remembered(self, name: str, of: str) -> bool:
        """Whether it is known still."""
        return self.ask([("GET", keys.limit(name, of))])[1] == [b"1"]

    def _found_in(self, buckets: Iterable[int]) -> Iterator[dict[int, list[str]]]:
        """What the buckets hold beside their markers, by bucket, a few keys at a time."""
        by_tag = {keys.tag(bucket): bucket for bucket in buckets}
        kept = {keys.POINTERS, keys.EPOCH, keys.HEARTBEAT, *(keys.marker(bucket) for bucket in by_tag.values())}
        found: dict[int, list[str]] = defaultdict(list)
        with connection.available():
            for number, key in enumerate(self._client.scan_iter(match=keys.EVERYTHING, count=SCANNED), start=1):
                name = key.decode()
                bucket = by_tag.get(name[: name.index("}") + 1])
                if bucket is not None and name not in kept:
                    found[bucket].append(name)
                if number % 500 == 0:
                    yield found
                    found = defaultdict(list)
        yield found

    def _empty(self, emptied: Iterable[tuple[int, str, str, list[str]]]) -> None:
        """(bucket, marker expected, marker afterwards, keys to remove) each."""
        calls = [("empty", [keys.marker(bucket), *names], [old, new]) for bucket, old, new, names in emptied]
        for answer in self.run(calls):
            _require_ok(answer)

    def _pages(self, calls: Sequence[Call]) -> list[StoredPage]:
        store_id, answers = self._call(calls)
        pages = [stored_page(answer) for answer in answers]
        return [replace(page, progress=_trusted(page.progress, store_id)) for page in pages]

    # Round trips; stored.py makes its own with them

    def ask(self, commands: Sequence[Command], store_id: str | None = None) -> tuple[str, list[Any]]:
        """(the id of the server that answered, its answers) in one round trip; StoreMoved where it is not this one."""
        return connection.ask(self._client, commands, store_id)

    def run(self, calls: Sequence[Call], store_id: str | None = None) -> list[Any]:
        """What the scripts answered, each on keys of one slot; StoreMoved where another server answers than this."""
        return self._call(calls, store_id)[1] if calls else []

    def tell(self, call: Call) -> None:
        """The script is called, and nothing is waited for but on a new connection: that it failed is raised by the next
        call. Where Redis has forgotten the script, the call before is lost.
        """
        if self._client.known() is None:
            self.run([call])
            return
        try:
            connection.tell(self._client, _command(call))
        except redis.exceptions.NoScriptError:
            self.run([call])

    def _call(self, calls: Sequence[Call], store_id: str | None = None) -> tuple[str, list[Any]]:
        """(the id of the server that answered, what the scripts did), each on keys of one slot, in one round trip."""
        commands = [_command(call) for call in calls]
        try:
            return self.ask(commands, store_id)
        except redis.exceptions.NoScriptError:
            self._load(call[0] for call in calls)
            return self.ask(commands, store_id)

    def _load(self, scripts: Iterable[str]) -> None:
        """Redis has not seen these scripts, or has forgotten them."""
        self.ask([("SCRIPT", "LOAD", _script(name)[0]) for name in set(scripts)])


def look(read_model: str, generation: int, key: str) -> bytes:
    """The command that reads a document beside its bucket's progress, as it is sent."""
    bucket, name = keys.located(read_model, generation, key)
    encoded = name.encode()
    return b"%b$%d\r\n%b\r\n" % (_BESIDE_PROGRESS[bucket], len(encoded), encoded)


# How it begins: every read of a document comes by here, and to write all of it anew takes twice as long.
_BESIDE_PROGRESS = [
    b"*3\r\n$4\r\nMGET\r\n$%d\r\n%b\r\n" % (len(name), name.encode())
    for name in map(keys.progress, range(keys.BUCKETS))
]


def ready(looks: Sequence[Command], calls: Sequence[Call]) -> Ready:
    """The looks and the calls as they are sent."""
    commands = [*looks, *(_command(call) for call in calls)]
    return Ready(b"".join(map(connection.packed, commands)), len(looks), tuple(call[0] for call in calls))


def _command(call: Call) -> Command:
    name, script_keys, arguments = call
    return ("EVALSHA", _script(name)[1], len(script_keys), *script_keys, *arguments)


# What is kept is the same between two drains, and needs no second look.
@lru_cache(maxsize=512)
def _trusted(progress: bytes | None, store_id: str) -> bytes | None:
    """The progress without the id of the server that it holds for; raises StoreMoved where this is another."""
    if progress is None:
        return None
    end = VERSION_LENGTH + STORE_ID_LENGTH
    if progress[VERSION_LENGTH:end] != store_id.encode():
        raise StoreMoved("Redis was restarted or failed over; what it lost meanwhile is being looked at")
    return progress[:VERSION_LENGTH] + progress[end:]


@cache
def _script(name: str) -> tuple[str, str]:
    text = (SCRIPTS / f"{name}.lua").read_text()
    return text, sha1(text.encode(), usedforsecurity=False).hexdigest()


def _require_ok(answer: bytes) -> None:
    if answer == b"lost":
        raise StoreLost("a bucket does not carry its marker")
    if answer == b"late":
        raise AttemptTooOld(f"the attempt took longer than {conf().attempt_seconds} s")
    if answer == b"doubt":
        raise EpochMoved("the store holds a higher epoch")
