"""The worker killed between any two of its steps, killed anywhere, or stopped for longer than it may be."""

import random
import time
from contextlib import suppress

import psutil
import pytest

from project import child
from readmodels import faults, outbox
from readmodels.models import Shard
from tests.faults.proxy import proxied
from tests.faults.system import HEAL_SECONDS, KILLED, LAG_SECONDS, System, scaled
from tests.faults.watcher import Watcher
from tests.faults.writers import Writers
from tests.rows import add_user
from users.models import User

# 50 in all, of which 20 anywhere.
KILLS_AT_EACH_POINT = scaled(5, 15)
# Each kill leaves shards to a lease of 2 s.
KILLS_SECONDS = scaled(90, 300)
KILLS_ANYWHERE = scaled(20, 150)


# A sound worker goes on beside it: with none, a change would be parked that five projectors in a row died of.
@pytest.mark.parametrize("point", faults.POINTS)
def test_worker_killed_between_steps_loses_nothing(system: System, point: str):
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=1):
            system.start_worker("dying", READMODELS_FAULT=f"{point}:kill:0.5")
            assert child.wait_until(lambda: system.log("dying").count(KILLED) >= KILLS_AT_EACH_POINT, KILLS_SECONDS)
            system.kill("dying")
            assert child.wait_until(lambda: outbox.lag_seconds() < LAG_SECONDS, HEAL_SECONDS)
        system.assert_converged(watcher)


def test_worker_killed_anywhere_is_back_within_the_lag(system: System):
    chance = random.Random(2)
    customers = system.add_customers(8)
    for _ in range(50):
        add_user()
    lags = []
    killed = 0
    with Watcher(customers) as watcher:
        with Writers(customers, seed=2) as writers:
            while killed < KILLS_ANYWHERE:
                writers.go_on(chance.randrange(5, 60))
                killed += kill_some(system, chance)
                lags.append(greatest_lag(system))
        system.assert_converged(watcher)
    lags.sort()
    print("greatest lag after each kill, in seconds:", *(f"{lag:.1f}" for lag in lags))
    # Half of them: on a machine busy with other tests, a process that replaces a killed one waits for its turn. In the
    # long run, which has the machine to itself, all.
    assert lags[scaled(len(lags) // 2, len(lags) - 1)] < LAG_SECONDS


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


# After deaths changes are taken one by one, and at such a distance a round of them takes longer than a lease. Were it
# not kept, the living would take each other for dead, and no batch be whole again while writers are quicker than that.
def test_workers_far_from_postgres_go_back_to_whole_batches(system: System):
    customers = system.add_customers(8)
    with proxied(system.servers.postgres) as proxy, Watcher(customers) as watcher:
        with Writers(customers, seed=6):
            system.restart(READMODELS_FAULT="amid_writes:kill")
            assert child.wait_until(lambda: Shard.objects.filter(attempts__gte=3).exists(), HEAL_SECONDS)
            proxy.way_seconds = 0.005
            system.restart(DATABASE_URL=system.database_url(proxy.port))
            system.assert_heals()
        system.assert_converged(watcher)
        system.restart()


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


def kill_some(system: System, chance: random.Random) -> int:
    """One or all of the processes that run tasks are killed, and the worker replaces them; returns how many."""
    found = system.pool()
    chosen = chance.sample(found, chance.randint(1, len(found))) if found else []
    for process in chosen:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return len(chosen)


def greatest_lag(system: System) -> float:
    """How old a change has become until all was projected that had been written by now, some of it in each shard."""
    bystanders = User.objects.exclude(name__startswith="Count")
    bystanders.update(country=str(time.monotonic()))
    written, lags = time.monotonic(), [0.0]

    def is_projected() -> bool:
        lags.append(outbox.lag_seconds())
        return lags[-1] < time.monotonic() - written

    assert child.wait_until(is_projected, HEAL_SECONDS), system.state()
    return max(lags)
