"""The worker killed between any two of its steps, killed anywhere, or stopped for longer than it may be."""

import random
from contextlib import suppress

import psutil
import pytest

from project import child
from readmodels import faults, outbox
from tests.faults.system import HEAL_SECONDS, KILLED, LAG_SECONDS, System, scaled
from tests.faults.watcher import Watcher
from tests.faults.writers import Writers


@pytest.mark.parametrize("point", faults.POINTS)
def test_worker_killed_between_steps_loses_nothing(system: System, point: str):
    customers = system.add_customers(8)
    kills = scaled(2, 8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=1):
            system.kill("worker")
            system.start_worker(READMODELS_FAULT=f"{point}:kill:0.3")
            assert child.wait_until(lambda: system.log("worker").count(KILLED) >= kills, HEAL_SECONDS)
            system.kill("worker")
            system.start_worker()
            assert child.wait_until(lambda: outbox.lag_seconds() < LAG_SECONDS, HEAL_SECONDS)
        system.assert_converged(watcher)


def test_worker_killed_anywhere_is_back_within_the_lag(system: System):
    chance = random.Random(2)
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=2) as writers:
            for _ in range(scaled(5, 40)):
                writers.go_on(chance.randrange(5, 60))
                kill_one(system, chance)
                assert child.wait_until(lambda: outbox.lag_seconds() < LAG_SECONDS, HEAL_SECONDS)
        system.assert_converged(watcher)


def test_whole_worker_and_beat_killed_lose_nothing(system: System):
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=3) as writers:
            for _ in range(scaled(1, 10)):
                writers.go_on(50)
                system.kill("worker")
                system.kill("beat")
                system.start_worker()
                system.start_beat()
        system.assert_converged(watcher)


# Another worker takes over when the lease runs out. Then the stopped one goes on: within the longest attempt its writes
# find something newer in each place, after it they are refused.
@pytest.mark.parametrize(
    ("point", "attempt_seconds", "outcome"),
    [
        ("after_snapshot", 60, "event='projected'"),
        ("after_snapshot", 3, "the attempt took longer than 3 s"),
        ("after_write", 3, "event='projected'"),
    ],
)
def test_worker_stopped_for_longer_than_its_lease_changes_nothing(
    system: System, point: str, attempt_seconds: int, outcome: str
):
    customers = system.add_customers(4)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=4):
            limit = {"READMODELS_ATTEMPT_SECONDS": str(attempt_seconds)}
            system.start_worker("stopped", 1, READMODELS_FAULT=f"{point}:stop", **limit)
            # What it had in hand when it was stopped may have been nothing; then it stops again with something.
            assert any(ends_with(outcome, system) for _ in range(5)), system.log("stopped")
        system.kill("stopped")
        system.assert_converged(watcher)


def ends_with(outcome: str, system: System) -> bool:
    """Whether the stopped worker, continued when the others have long overtaken it, comes to this."""
    assert child.wait_until(lambda: is_stopped(system), HEAL_SECONDS)
    assert system.is_quick()
    stopped_ms = system.store.now_ms()
    assert child.wait_until(lambda: system.store.now_ms() > stopped_ms + 3000, HEAL_SECONDS)
    [process] = system.pool("stopped")
    process.resume()
    assert child.wait_until(lambda: outcome in system.log("stopped") or is_stopped(system), HEAL_SECONDS)
    return outcome in system.log("stopped")


def is_stopped(system: System) -> bool:
    return all(process.status() == psutil.STATUS_STOPPED for process in system.pool("stopped"))


def kill_one(system: System, chance: random.Random) -> None:
    """One of the processes that run tasks is killed; the worker replaces it."""
    with suppress(psutil.NoSuchProcess, IndexError):
        chance.choice(system.pool()).kill()
