"""The history checker: writers and projectors at once, random stalls between the steps, no lease to keep them apart."""

import random
import time
from contextlib import suppress

import pytest

from project import child
from readmodels import faults, leases, projector
from readmodels.errors import ReadModelError
from readmodels.store import Store
from tests.faults.crew import Crew
from tests.faults.system import System, scaled
from tests.faults.watcher import Watcher
from tests.faults.writers import Writers

WRITERS, PROJECTORS = 8, 6
WRITES_SECONDS = scaled(60, 900)


@pytest.mark.parametrize("seed", range(scaled(1, 20)))
def test_projectors_that_stall_anywhere_agree_with_a_rebuild(system: System, monkeypatch, seed: int):
    customers = system.add_customers(WRITERS * 2)
    stall_at_random(monkeypatch, seed)
    # A lease only saves double work: without it, all projectors are at the same changes.
    monkeypatch.setattr(leases, "IS_FREE", "true")
    with Watcher(customers) as watcher:
        with Projectors(system.store), Writers(customers, seed, count=WRITERS, pause_seconds=0) as writers:
            assert child.wait_until(lambda: writers.done >= scaled(1_000, 10_000), WRITES_SECONDS)
        system.assert_converged(watcher)
    assert not [outcome for outcome in writers.outcomes if outcome.error]


def stall_at_random(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Most points are passed at once; at some a projector stays long enough for others to overtake it many times."""
    chance = random.Random(seed)

    def reached(*where: object) -> None:
        if chance.random() < 0.2:
            time.sleep(chance.choice((0.001, 0.01, 0.1, 0.5)))

    monkeypatch.setattr(faults, "reached", reached)


class Projectors(Crew):
    """Threads that project until the block ends, beside the worker."""

    def __init__(self, store: Store) -> None:
        self._store = store
        super().__init__([self._project] * PROJECTORS, pause_seconds=0.005)

    def _project(self) -> None:
        with suppress(ReadModelError):
            projector.settle(self._store)
