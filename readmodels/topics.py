"""What streams follow, and what each is sent: the state of a document or partition, and what a client that has come as
far as its `Last-Event-ID` lacks of it.

States are looked at, not announced, so nothing is missed: whatever lies between two looks is in the later one. States
in between may be passed over, the newest never is. Nothing here reads or waits.
"""

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from hashlib import blake2b

from readmodels import sse
from readmodels.declare import Collection, Document
from readmodels.positions import has_integer_key, row_key
from readmodels.values import RecentRows

# What a look finds as long as nothing has changed: server, generation, version or last position.
Head = tuple[str, int, bytes]

# A version, as Read-Model-Version has it, with the generation behind it or without.
_DOCUMENT_ID = re.compile(r"(?P<version>[0-9]{26})(\.[0-9]{1,10})?")
# A position, and a hash of where it counts.
_PARTITION_ID = re.compile(r"(?P<position>[0-9]{1,17})\.(?P<origin>[0-9a-f]{16})")


@dataclass(frozen=True)
class Topic:
    """A document, or a partition of a collection, by its key's text."""

    of: type[Document] | type[Collection]
    key: str

    def __hash__(self) -> int:
        return hash((self.of.__name__, self.key))

    def is_id(self, text: str) -> bool:
        """Whether this may be the id of an update of such a topic."""
        return bool((_DOCUMENT_ID if issubclass(self.of, Document) else _PARTITION_ID).fullmatch(text))


@dataclass(frozen=True)
class DocumentState:
    """One document as it is; body None: there is none."""

    head: Head
    generation: int
    version: str
    body: bytes | None

    def since(self, last_id: str | None) -> list[tuple[str, bytes]]:
        """(id, update) of all that a client lacks that has come as far as this id: the document, or nothing."""
        own = f"{self.version}.{self.generation}"
        # After a rollback the version may be lower, and the document is another all the same.
        if self.body is None or last_id in (own, self.version):
            return []
        return [(own, sse.update("document", self.body, own))]


@dataclass(frozen=True)
class PartitionState:
    """What was changed last in a partition, in the order of positions: (position, row id, update) each.

    Nothing is known of changes at or before `floor`; `origin` says where positions count.
    """

    head: Head
    origin: str
    floor: int
    last: int
    changed: tuple[tuple[int, str, bytes], ...] = ()

    def since(self, last_id: str | None) -> list[tuple[str, bytes]]:
        """The same: the rows that were changed since, each as it is now; or, where that can't be said, `reset`."""
        position = self._position(last_id)
        if position is None:
            own = f"{self.last}.{self.origin}"
            return [(own, sse.update("reset", b"{}", own))]
        first = bisect_right(self.changed, position, key=lambda change: change[0])
        return [(f"{at}.{self.origin}", update) for at, _, update in self.changed[first:]]

    def _position(self, last_id: str | None) -> int | None:
        found = _PARTITION_ID.fullmatch(last_id or "")
        if found is None or found["origin"] != self.origin:
            return None
        position = int(found["position"])
        return position if self.floor <= position <= self.last else None


State = DocumentState | PartitionState


def partition_state(
    topic: Topic, head: Head, found: RecentRows, before: State | None, most_rows: int
) -> PartitionState:
    """The state after what was found since the last position of `before`, or since ever where there is none.

    Where `before` can't be gone on with, all that is known is what was found.
    """
    origin = blake2b(f"{found.origin}:{head[1]}".encode(), digest_size=8).hexdigest()
    is_integer = has_integer_key(topic.of.root)
    changed = [(at, row_id, _row(row_id, body, f"{at}.{origin}", is_integer)) for row_id, at, body in found.changed]
    floor = found.floor
    if isinstance(before, PartitionState):
        if before.origin == origin and floor <= before.last <= found.last:
            again = {row_id for _, row_id, _ in changed}
            changed = [change for change in before.changed if change[1] not in again] + changed
            floor = before.floor
        else:
            floor = max(floor, min(before.last, found.last))
    dropped = len(changed) - most_rows
    if dropped > 0:
        floor = changed[dropped - 1][0]
    return PartitionState(head, origin, floor, found.last, tuple(changed[-most_rows:]))


def _row(row_id: str, body: bytes, update_id: str, is_integer: bool) -> bytes:
    if body:
        return sse.update("row", body, update_id)
    key = row_key(row_id, is_integer=is_integer)
    return sse.update("removed", json.dumps({"id": int(key) if is_integer else key}).encode(), update_id)
