"""Drift: what is stored against what a fresh build gives. Finds documents and rows that are missing, stale or orphans,
and partitions whose index or measures are not those of their rows. Streams: key ranges on the one side, a scan on the
other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from readmodels import building, generations, snapshot
from readmodels.building import Write
from readmodels.conf import conf
from readmodels.generations import Generation
from readmodels.models import GenerationState
from readmodels.plan import Plan
from readmodels.positions import row_key
from readmodels.store import Store
from readmodels.values import DocumentWrite


@dataclass
class Drift:
    """What was found in one read model; keys of documents, or `partition/row` and `partition` of collections."""

    read_model: str
    generation: int
    compared: int = 0
    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    orphan: list[str] = field(default_factory=list)
    uneven: list[str] = field(default_factory=list)  # partitions whose index or measures differ from their rows

    @property
    def total(self) -> int:
        """How many documents, rows and partitions differ."""
        return len(self.missing) + len(self.stale) + len(self.orphan) + len(self.uneven)


def verify(store: Store) -> list[Drift]:
    """Every live generation compared with a fresh build. Settle first: what is projected meanwhile may drift."""
    with snapshot.reading() as (cursor, _):
        live = [each for each in generations.current(cursor) if each.state == GenerationState.LIVE]
    return [verify_generation(store, generation) for generation in live]


def verify_generation(store: Store, generation: Generation) -> Drift:
    """One generation compared with a fresh build."""
    drift = Drift(generation.plan.name, generation.number)
    for expected in _ranges(generation):
        _compare(store, expected, drift)
    for stored in _stored(store, generation):
        drift.orphan += _orphans(generation, stored)
    if generation.plan.kind == "collection":
        drift.uneven += _uneven(store, generation)
    return drift


def _ranges(generation: Generation) -> Iterator[list[Write]]:
    after: str | None = None
    while True:
        with snapshot.reading() as (cursor, _):
            writes, after = building.range_writes(cursor, generation, after, conf().batch_rows)
        yield writes
        if after is None:
            return


def _compare(store: Store, expected: Sequence[Write], drift: Drift) -> None:
    for write, stored in zip(expected, store.stored(expected), strict=True):
        drift.compared += 1
        if stored is None or stored.body is None:
            drift.missing.append(_name(write))
        elif stored != write:
            drift.stale.append(_name(write))


def _stored(store: Store, generation: Generation) -> Iterator[list[Write]]:
    """Everything that the store serves of a generation, a bounded number at a time."""
    chunk: list[Write] = []
    for write in store.everything(
        generation.plan.name, generation.number, is_document=generation.plan.kind == "document"
    ):
        chunk.append(write)
        if len(chunk) == conf().batch_rows:
            yield chunk
            chunk = []
    yield chunk


def _orphans(generation: Generation, stored: Sequence[Write]) -> list[str]:
    with snapshot.reading() as (cursor, _):
        expected = {_name(write) for write in building.builds(cursor, generation, _lookups(generation.plan, stored))}
    return [_name(write) for write in stored if _name(write) not in expected]


def _lookups(plan: Plan, stored: Sequence[Write]) -> set[str]:
    return {
        write.key if isinstance(write, DocumentWrite) else row_key(write.row_id, is_integer=plan.is_integer_pk)
        for write in stored
    }


def _uneven(store: Store, generation: Generation) -> list[str]:
    """The partitions whose index or measures are not exactly what their rows add up to."""
    name, number = generation.plan.name, generation.number
    found: list[str] = []
    for partition in store.partitions(name, number):
        rows, index, measures = store.partition(name, number, partition)
        members = {member for row in rows for member in row.members}
        totals: dict[str, int] = {}
        for row in rows:
            for measure, share in row.shares:
                totals[measure] = totals.get(measure, 0) + share
        if members != index or {measure: total for measure, total in totals.items() if total} != measures:
            found.append(partition)
    return found


def _name(write: Write) -> str:
    return write.key if isinstance(write, DocumentWrite) else f"{write.partition}/{write.row_id}"
