"""Drift: what is stored against what a fresh build gives. Finds documents and rows that are missing, stale or orphans,
and partitions whose index or measures are not those of their rows.

Exact beside live writes, since what differs is looked at twice (suspects.py, docs/decisions/0008-two-looks.md). Streams
in bounded stretches (walking.py): what is held at a time does not grow with the read model, but for the names of what
differs.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import structlog

from readmodels import generations, mending, snapshot, suspects, walking
from readmodels.conf import conf
from readmodels.generations import Generation
from readmodels.models import GenerationState
from readmodels.store import Store
from readmodels.stored import Place
from readmodels.suspects import GenerationOver, Suspects, Verdict
from readmodels.values import DocumentWrite
from readmodels.walking import Position, Stretch

log = structlog.get_logger()

LOOKS = 5  # what still moves on then is left unsettled
WAIT_SECONDS = 20.0  # by a whole audit, for the projector; a projector that keeps up is waited for a few ms at a time
POLL_SECONDS = 0.02
EXAMPLES = 5  # of each kind in the log


@dataclass
class Drift:
    """What was found in one read model; keys of documents, or `partition/row` and `partition` of collections.

    No drift are those that are parked, and those that could not be told: they changed at each look, or what was to be
    projected was not in time.
    """

    read_model: str
    generation: int
    compared: int = 0  # built from the tables
    stored: int = 0  # looked at in the store
    partitions: int = 0
    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    orphan: list[str] = field(default_factory=list)
    uneven: list[str] = field(default_factory=list)  # partitions whose index or measures differ from their rows
    parked: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    mended: int = 0  # of those that differed

    @property
    def total(self) -> int:
        """How many documents, rows and partitions differed."""
        return len(self.missing) + len(self.stale) + len(self.orphan) + len(self.uneven)

    @property
    def left(self) -> int:
        """How many of them still do."""
        return self.total - self.mended

    @property
    def is_clean(self) -> bool:
        """Whether everything that was looked at is what a fresh build gives."""
        return not (self.total or self.parked or self.unsettled)

    def meet(self, stretch: Stretch) -> None:
        """The stretch is counted in, but for its suspects."""
        self.compared += stretch.compared
        self.stored += stretch.stored
        self.partitions += stretch.partitions
        self.uneven += stretch.uneven
        self.parked += map(name, stretch.parked)
        self.unsettled += [*stretch.unsettled, *map(name, stretch.unbuilt)]

    def take(self, verdict: Verdict) -> None:
        """What the verdict is sure of is counted in."""
        for place, kind in verdict.differing.items():
            found: list[str] = getattr(self, kind)
            found.append(name(place))
        self.parked += map(name, verdict.parked)


class Patience:
    """Waits for the projector, so many seconds in all."""

    def __init__(self, seconds: float = WAIT_SECONDS) -> None:
        self._left = seconds

    def until(self, is_so: Callable[[], bool]) -> None:
        """Returns once it is so, or there is no time left."""
        began = time.monotonic()
        while not is_so() and time.monotonic() - began < self._left:
            time.sleep(POLL_SECONDS)
        self._left = max(0.0, self._left - (time.monotonic() - began))


def verify(store: Store) -> list[Drift]:
    """Every live generation compared with a fresh build."""
    with snapshot.reading() as (cursor, _):
        live = [each for each in generations.current(cursor) if each.state == GenerationState.LIVE]
    return [verify_generation(store, generation) for generation in live]


def verify_generation(store: Store, generation: Generation) -> Drift:
    """One generation compared with a fresh build; nothing is mended."""
    return audit(store, generation)


def audit(
    store: Store,
    generation: Generation,
    *,
    sample: int | None = None,
    is_repairing: bool = False,
    on_range: Callable[[int], None] = lambda rows: None,
    wait_seconds: float = WAIT_SECONDS,
) -> Drift:
    """One generation compared with a fresh build, beside live writes; it may be one that is not served yet.

    `sample`: about so many rows at random, and as many of what is stored, in place of all. `is_repairing`: what differs
    is mended. `on_range` is called after each stretch, outside of any transaction, with how many rows it had.
    """
    drift = Drift(generation.plan.name, generation.number)
    patience = Patience(wait_seconds)
    try:
        for stretch in _stretches(store, generation, sample):
            drift.meet(stretch)
            if is_repairing and stretch.uneven:
                drift.mended += len(mending.even_out(store, generation, stretch.uneven))
            _settle(store, generation, stretch.suspects, drift, patience, is_repairing=is_repairing)
            on_range(stretch.rows)
    except GenerationOver:  # it was switched away from: nobody reads it any more
        log.info("audit_ended", read_model=drift.read_model, generation=drift.generation)
    if drift.total:
        tell(drift)
    return drift


def tell(found: Drift) -> None:
    """The log says what differs: the engine was at fault, or somebody's hand in Redis."""
    kinds = {kind: getattr(found, kind) for kind in ("missing", "stale", "orphan", "uneven")}
    log.error(
        "drift",
        read_model=found.read_model,
        generation=found.generation,
        mended=found.mended,
        **{kind: len(names) for kind, names in kinds.items()},
        examples=[name for names in kinds.values() for name in names[:EXAMPLES]],
    )


def name(place: Place) -> str:
    """How a place is named to people."""
    return place.key if isinstance(place, DocumentWrite) else f"{place.partition}/{place.row_id}"


def _stretches(store: Store, generation: Generation, sample: int | None) -> Iterator[Stretch]:
    rows = conf().batch_rows
    if sample is not None:
        yield from walking.sample(store, generation, sample, rows)
        return
    position: Position | None = Position()
    while position is not None:
        stretch = walking.stretch(store, generation, position, rows)
        yield stretch
        position = stretch.following


def _settle(
    store: Store, generation: Generation, suspect: Suspects, drift: Drift, patience: Patience, *, is_repairing: bool
) -> None:
    """Each suspect is cleared, or counted for what it is."""
    left: Suspects | None = suspect if suspect.seals else None
    while left is not None and left.looks < LOOKS:
        waited_for = left
        patience.until(lambda: suspects.is_applied(waited_for, generation))  # noqa: B023 (called at once)
        verdict = suspects.judge(store, generation, left)
        drift.take(verdict)
        if is_repairing and verdict.seals:
            drift.mended += len(mending.mend(store, generation, verdict.seals))
        left = verdict.again
    if left is not None:
        drift.unsettled += map(name, left.seals)
