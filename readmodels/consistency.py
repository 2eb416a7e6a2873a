"""Read your writes: the consistency token, and how a reader without a database judges what it reads by it.

A token is the writer's transaction id with the epoch. What was read includes the write exactly if the snapshot kept
beside it shows that transaction as ended, or, for what the write did not touch, if the read model's progress does:
a snapshot less every transaction with changes not yet projected. Membership, never `position >=`: a token waits for no
other transaction's work.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from django.core import signing
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from readmodels import deadletters, outbox, together
from readmodels.building import concerns
from readmodels.capture import CAPTURED
from readmodels.conf import conf
from readmodels.deadletters import Parked
from readmodels.errors import CannotSay, WrongToken
from readmodels.generations import Generation
from readmodels.outbox import Change, Pending
from readmodels.snapshot import EPOCH_WIDTH, IS_SAME_LIFE, Snapshot, is_visible
from readmodels.together import Rows, Statement
from readmodels.values import VERSION_LENGTH, Attempt

# Progress lies in every bucket and comes with every read: so few parked documents are named, for more all are meant.
NAMED_KEYS = 50

_signer = signing.Signer(salt="readmodels.consistency-token")


@dataclass(frozen=True)
class Token:
    """A consistency token: the transaction that wrote, and the epoch in which it did."""

    epoch: int
    xid: int

    def __str__(self) -> str:
        return _signer.sign(f"{self.epoch}.{self.xid}")


@dataclass
class Written:
    """Filled when the transaction that it watches is about to commit; token None: it changed no read model."""

    token: Token | None = None


@contextmanager
def recorded() -> Iterator[Written]:
    """One transaction around a command; afterwards its consistency token is known."""
    written = Written()
    with transaction.atomic():
        yield written
        written.token = current_token()


def parse(text: str) -> Token:
    """The token of a header's text; raises WrongToken for anything that was not issued here."""
    try:
        epoch, xid = _signer.unsign(text).split(".")
        return Token(int(epoch), int(xid))
    except (signing.BadSignature, ValueError) as error:
        raise WrongToken("not a consistency token of this service") from error


def current_token() -> Token | None:
    """The token of what the running transaction has written; None: nothing that a read model shows."""
    with connection.cursor() as cursor:
        cursor.execute(
            # After a crash ids are handed out again: until somebody has raised the epoch, it is the one to come.
            f"SELECT epoch + (NOT {IS_SAME_LIFE})::int, pg_current_xact_id_if_assigned()::text,"
            " current_setting(%s, true) = 'on' FROM readmodels_clock c",
            [CAPTURED],
        )
        epoch, xid, is_captured = cursor.fetchone()
    return Token(epoch, int(xid)) if is_captured else None


# What is kept beside documents and in each bucket


class Stamp(NamedTuple):
    """The snapshot that a document was built in."""

    version: str
    at: datetime
    snapshot: str

    @property
    def epoch(self) -> int:
        """The epoch of its version."""
        return int(self.version[:EPOCH_WIDTH])

    def includes(self, token: Token) -> bool:
        """Whether what was built in this snapshot shows the token's write."""
        return self.epoch >= token.epoch and is_visible(token.xid, self.snapshot)


@dataclass(frozen=True)
class Progress:
    """What the read models have applied. Pending transactions and their oldest change's time, by read model.

    `doubtful` read models are being mended and may not be read. `parked` has the root keys of a read model's dead
    letters, None where they are too many to name. `built` below is the stamp of the document in question, if any.
    """

    stamp: Stamp
    timeline_epoch: int
    pending: dict[str, list[int]]
    oldest: dict[str, float]
    doubtful: frozenset[str] = frozenset()
    parked: Mapping[str, frozenset[str] | None] = field(default_factory=dict)

    def includes(self, token: Token, read_model: str, built: Stamp | None = None) -> bool:
        """Whether the token's write is in the document, or applied to all of the read model.

        Raises CannotSay for a token of another timeline: its id may name another transaction in this one.
        """
        if token.epoch < self.timeline_epoch:
            raise CannotSay("the database was replaced since the write")
        # A document of a later epoch may be of another timeline, of which this progress does not know yet.
        if built is not None and built.epoch <= self.stamp.epoch and built.includes(token):
            return True
        return self.stamp.includes(token) and token.xid not in self.pending.get(read_model, ())

    def shown_until(self, read_model: str, built: Stamp | None = None) -> float:
        """The time (seconds since 1970, PostgreSQL's clock) such that everything committed before it is shown.

        A snapshot is taken after its `at` is read, so it shows whatever had committed by then. Of the read model that
        holds but for what is not applied, and the oldest change of that was made, hence committed, at `oldest` or
        later. A document shows all that its own snapshot shows, whatever else of the read model is pending; one built
        on another timeline says nothing of this one.
        """
        applied = min(self.stamp.at.timestamp(), self.oldest.get(read_model, math.inf))
        if built is None or built.epoch < self.timeline_epoch:
            return applied
        return max(applied, built.at.timestamp())

    def is_parked(self, read_model: str, key: str | None, built: Stamp | None = None) -> bool:
        """Whether a dead letter keeps back the newest state of this root row; key None: of any row.

        A document as new as this, or newer, was built with all that could be parked here.
        """
        if read_model not in self.parked or (built is not None and built.version >= self.stamp.version):
            return False
        keys = self.parked[read_model]
        return keys is None or (key in keys if key is not None else bool(keys))

    def lag_seconds(self, read_model: str) -> float:
        """The age, when this was written, of the read model's oldest unapplied change."""
        oldest = self.oldest.get(read_model)
        return 0.0 if oldest is None else max(0.0, self.stamp.at.timestamp() - oldest)


def header(snapshot: Snapshot) -> bytes:
    """What stands before each document: version, time (ms) and snapshot, one line."""
    return f"{snapshot.version} {int(snapshot.at.timestamp() * 1000)} {snapshot.text}\n".encode()


def attempt(started_ms: int, snapshot: Snapshot, markers: Sequence[str]) -> Attempt:
    """What all writes of one snapshot share."""
    return Attempt(started_ms, snapshot.version, header(snapshot), snapshot.store_id, markers)


def parse_document(stored: bytes) -> tuple[Stamp, bytes]:
    """(stamp, body) of a stored document; an empty body is a tombstone."""
    line, _, body = stored.partition(b"\n")
    return parse_stamp(line), body


def parse_version(stored: bytes) -> tuple[str, bytes]:
    """(version, body) of a stored document."""
    return stored[:VERSION_LENGTH].decode(), stored[stored.index(b"\n") + 1 :]


def parse_stamp(line: bytes) -> Stamp:
    """The stamp that a header says."""
    version, at_ms, snapshot = line.decode().split(" ", 2)
    return Stamp(version, datetime.fromtimestamp(int(at_ms) / 1000, UTC), snapshot.rstrip())


def progress(
    cursor: CursorWrapper, snapshot: Snapshot, generations: Sequence[Generation], applied: Sequence[Change]
) -> str:
    """The progress once `applied` is in the store, as text for `parse_progress`."""
    return progress_in(cursor, snapshot, generations, together.ask(cursor, asking_progress(applied)))


class Unapplied(NamedTuple):
    """Whether documents are parked, whether other lanes than the live one have changes, and how many that one has; None
    where those were not counted.
    """

    is_any_parked: bool
    is_any_elsewhere: bool
    live: int | None

    def is_all(self, changes: Sequence[Change]) -> bool:
        """Whether these changes, of the live lane, are all that there is."""
        return not self.is_any_parked and not self.is_any_elsewhere and self.live == len(changes)


def unapplied(limit: int | None) -> str:
    """The SQL of what an `Unapplied` says, three columns; changes are counted up to the limit, if there is one."""
    of_lane = f"FROM readmodels_change WHERE shard BETWEEN 0 AND {outbox.SHARDS - 1}"
    return (
        "EXISTS (SELECT FROM readmodels_dead_letter),"
        " COALESCE((SELECT min(shard) FROM readmodels_change) < 0"
        f" OR (SELECT max(shard) FROM readmodels_change) >= {outbox.SHARDS}, false),"
        + ("NULL" if limit is None else f" (SELECT count(*) FROM (SELECT {of_lane} LIMIT {limit}) few)")
    )


# What the statements of `asking_progress` find where all that there is is being applied.
NOTHING_UNAPPLIED: Sequence[Rows] = [[], [], [], []]


def asking_progress(applied: Sequence[Change]) -> list[Statement]:
    """The statements that ask what is not applied once `applied` is, for `progress_in`."""
    most = conf().pending_changes
    return [*outbox.asking_pending(applied, most), deadletters.asking_parked(most)]


def progress_in(
    cursor: CursorWrapper, snapshot: Snapshot, generations: Sequence[Generation], found: Sequence[Rows]
) -> str:
    """The progress that such statements found.

    With too many pending changes to name, the horizon is lowered: the progress then knows of no transaction from the
    oldest pending one on. A read model is doubtful while changes that a Redis had lost are projected again.
    """
    names = {generation.plan.name for generation in generations}
    most = conf().pending_changes
    *unapplied, letters = found
    pending, parked = outbox.pending_in(unapplied, most), deadletters.parked_in(letters, most)
    by_model: dict[str, set[int]] = defaultdict(set)
    oldest: dict[str, float] = {}
    if pending is None or parked is None:
        horizon, at = outbox.horizon(cursor)
        shown = _lowered(snapshot.text, horizon)
        oldest = dict.fromkeys(names, at.timestamp()) if at else {}
        doubtful = names if outbox.is_pending_of(cursor, snapshot.replays) else set()
    else:
        shown = snapshot.text
        for row in pending:
            for name in concerned(row, generations):
                by_model[name].add(row.xid)
                oldest[name] = min(oldest.get(name, row.at.timestamp()), row.at.timestamp())
        doubtful = {name for name, xids in by_model.items() if not xids.isdisjoint(snapshot.replays)}
        for letter in parked:
            by_model[letter.read_model] |= set(letter.writers)
    return json.dumps(
        {
            "at": snapshot.at.timestamp(),
            "snapshot": shown,
            "timeline_epoch": snapshot.timeline_epoch,
            "pending": {name: sorted(xids) for name, xids in by_model.items()},
            "oldest": oldest,
            "doubtful": sorted(doubtful),
            "parked": _named(parked, names),
        }
    )


def _named(parked: Sequence[Parked] | None, names: Set[str]) -> dict[str, list[str] | None]:
    """The root keys of the parked documents by read model; None where there are more than can be named."""
    if parked is None:
        return dict.fromkeys(names)
    keys: dict[str, list[str]] = defaultdict(list)
    for letter in parked:
        keys[letter.read_model].append(letter.key)
    return {name: found if len(found) <= NAMED_KEYS else None for name, found in keys.items()}


def _lowered(snapshot: str, horizon: int) -> str:
    """The snapshot as if no transaction from the horizon on had begun; what ran below it runs still."""
    xmin, _, running = snapshot.split(":")
    below = [xid for xid in running.split(",") if xid and int(xid) < horizon]
    return f"{min(int(xmin), horizon)}:{horizon}:{','.join(below)}"


# As many as there are buckets: each keeps its progress between two drains, and comes with every read.
@lru_cache(maxsize=512)
def parse_progress(stored: bytes) -> Progress:
    """The progress that a bucket keeps."""
    data: dict[str, Any] = json.loads(stored[VERSION_LENGTH:])
    at = datetime.fromtimestamp(data["at"], UTC)
    stamp = Stamp(stored[:VERSION_LENGTH].decode(), at, data["snapshot"])
    doubtful = frozenset(data.get("doubtful", ()))
    parked = {name: None if keys is None else frozenset(keys) for name, keys in data.get("parked", {}).items()}
    return Progress(stamp, data["timeline_epoch"], data["pending"], data["oldest"], doubtful, parked)


def concerned(row: Pending, generations: Sequence[Generation]) -> set[str]:
    """The read models that changes of this kind are still to be projected into."""
    if row.read_models is not None:
        return set(row.read_models)
    columns = None if row.columns is None else tuple(row.columns)
    seconds = row.at.timestamp()
    change = Change(0, row.xid, row.source, "", columns, [row.xid], None, False, 0, None, None, None, seconds)
    return {
        generation.plan.name
        for generation in generations
        if any(concerns(change, dependency) for dependency in generation.plan.dependencies)
    }
