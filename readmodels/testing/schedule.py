"""What may happen between writers and projectors, a step at a time."""

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from django.conf import settings
from django.test import override_settings

from readmodels import drift, outbox
from readmodels.conf import conf
from readmodels.store import Store
from readmodels.testing.attempt import EVERY_SHARD, Attempt
from readmodels.testing.law import drain
from readmodels.testing.writers import COMMITS, Hand, Write, stepped
from readmodels.values import VERSION_LENGTH

MOST_WRITERS, MOST_DELIVERIES = 3, 3
MOST_ROUNDS = 4  # a wide change takes three: its own row, its fan-out, its documents
# How often a writer or a delivery dies after any one of its steps, and how often a delivery comes twice, or late.
DIES, TWICE, LATE = 0.07, 0.25, 0.25
WAITS = "waits"

# The steps of a writer or of a delivery, each said once it is done.
Steps = Generator[str, None, None]


@dataclass
class Schedule:
    """A few writers, and a few deliveries of what they change, one step at a time in an order drawn by chance.

    Writers commit late, or die and are rolled back. Deliveries take some shards and not others, come twice, die between
    any two steps or amid their writes, or go on when everything is projected, with what they read before.
    """

    store: Store
    chance: random.Random
    attempt: type[Attempt]
    watch: Callable[[], None]
    done: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(f"  {number}. {step}" for number, step in enumerate(self.done, start=1))

    @property
    def committed(self) -> int:
        """How many writes were."""
        return sum(step.endswith(COMMITS) for step in self.done)

    def run(self, writes: Sequence[Write], hands: Sequence[Hand], refused: tuple[type[Exception], ...]) -> None:
        """All has happened, and everything is projected."""
        turns = self._writers(writes, hands, refused) | self._deliveries()
        with _fan_out_from(self.chance.choice((1, conf().fan_out_documents))):
            late = self._take_turns(turns)
            self._project()
            if late:
                self.done.append("all is projected")
                self._take_turns(late)
                self._project()

    def _writers(
        self, writes: Sequence[Write], hands: Sequence[Hand], refused: tuple[type[Exception], ...]
    ) -> dict[str, Steps]:
        turns: dict[str, Steps] = {}
        for number, hand in enumerate(hands[: self.chance.randint(1, len(hands))], start=1):
            write = self.chance.choice(writes)
            own = random.Random(self.chance.random())  # how much a write draws is of no account to what follows
            turns[f"writer {number} ({getattr(write, '__name__', write)})"] = stepped(write, own, hand, refused)
        return turns

    def _deliveries(self) -> dict[str, Steps]:
        count = self.chance.randint(1, MOST_DELIVERIES)
        return {f"delivery {number}": self._delivery() for number in range(1, count + 1)}

    def _take_turns(self, turns: dict[str, Steps]) -> dict[str, Steps]:
        """Each has done its steps or died; returns those that wait."""
        waiting: dict[str, Steps] = {}
        try:
            while turns:
                name = self.chance.choice(list(turns))
                said = next(turns[name], None)
                if said is None:
                    del turns[name]
                    continue
                self.done.append(f"{name} {said}")
                if said == WAITS:
                    waiting[name] = turns.pop(name)
                elif self.chance.random() < DIES:
                    turns.pop(name).close()
                    self.done.append(f"{name} is gone")
        finally:
            for left in turns.values():  # after an error: no transaction stays open
                left.close()
        return waiting

    def _delivery(self) -> Steps:
        one = self.attempt(self.store, self._shards())
        one.begin()
        yield "begins"
        one.read()
        yield f"reads {len(one.batch.changes)} changes"
        if self.chance.random() < LATE:
            yield WAITS
        if self.chance.random() < DIES:
            one.batch = replace(one.batch, writes=one.batch.writes[: len(one.batch.writes) // 2])
            self._write(one)
            yield "dies amid its writes"
            return
        for _ in range(2 if self.chance.random() < TWICE else 1):
            self._write(one)
            yield f"writes {len(one.batch.writes)} documents"
            one.acknowledge()
            yield "acknowledges"
            one.expand()
            yield "fans out"

    def _shards(self) -> Sequence[int]:
        """All, or some: changes are then delivered in another order than that of their commits."""
        some = self.chance.sample(EVERY_SHARD, self.chance.randint(1, len(EVERY_SHARD)))
        return self.chance.choice((EVERY_SHARD, sorted(some)))

    def _write(self, one: Attempt) -> None:
        before = _versions(self.store, one)
        one.write()
        for write, old, new in zip(one.batch.writes, before, _versions(self.store, one), strict=True):
            place = f"{write.read_model} {drift.name(write)}"
            assert old <= new, f"{place} goes back from version {old} to {new or 'nothing'}"
        self.watch()

    def _project(self) -> None:
        """Everything is projected, by attempts of the same kind as far as they come."""
        for _ in range(MOST_ROUNDS):
            if not outbox.backlog_rows():
                return
            self.attempt(self.store).run()
        drain(self.store)  # a table was truncated, or the attempts leave something


def _versions(store: Store, one: Attempt) -> list[str]:
    """The version of what is stored where the attempt writes, '' for nothing."""
    return [stamped[0][:VERSION_LENGTH] if stamped else "" for stamped in store.stamped(one.batch.writes)]


@contextmanager
def _fan_out_from(documents: int) -> Iterator[None]:
    """A change that reaches more documents than this goes on in the bulk lane."""
    try:
        with override_settings(READMODELS={**settings.READMODELS, "fan_out_documents": documents}):
            conf.cache_clear()
            yield
    finally:
        conf.cache_clear()
