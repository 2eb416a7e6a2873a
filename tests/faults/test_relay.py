"""Only a relay: no broker, no worker, no beat. Killed anywhere, it loses nothing; its servers may go and come."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from project import child
from project.server_process import Server
from readmodels import connection, outbox
from tests.faults.system import HEAL_SECONDS, LAG_SECONDS, System, scaled
from tests.faults.watcher import Watcher
from tests.faults.writers import Writers


@contextmanager
def relay_alone(system: System) -> Iterator[None]:
    """Of all that projects, a relay runs and nothing else until the block ends."""
    system.servers.broker.stop()
    system.kill("worker")
    system.kill("beat")
    system.start_relay()
    yield
    system.kill("relay")
    system.servers.broker.start()
    system.start_worker()
    system.start_beat()


def test_relay_killed_anywhere_loses_nothing(system: System):
    customers = system.add_customers(8)
    with relay_alone(system), Watcher(customers) as watcher:
        with Writers(customers, seed=1) as writers:
            for _ in range(scaled(2, 20)):
                writers.go_on(50)
                system.kill("relay")
                writers.go_on(20)
                system.start_relay()
                assert child.wait_until(lambda: outbox.lag_seconds() < LAG_SECONDS, HEAL_SECONDS)
        system.assert_converged(watcher)
    assert not [outcome.error for outcome in writers.outcomes if outcome.error]


@pytest.mark.parametrize("point", ["amid_writes", "after_write"])
def test_relay_killed_between_steps_loses_nothing(system: System, point: str):
    customers = system.add_customers(8)
    with relay_alone(system), Watcher(customers) as watcher:
        with Writers(customers, seed=2):
            for _ in range(scaled(1, 8)):
                system.kill("relay")
                system.start_relay(READMODELS_FAULT=f"{point}:kill:0.3")
                assert child.wait_until(lambda: not runs(system), HEAL_SECONDS)
            system.kill("relay")
            system.start_relay()
        system.assert_converged(watcher)


@pytest.mark.parametrize("name", ["postgres", "read_models"])
def test_relay_outlives_its_servers(system: System, name: str):
    customers = system.add_customers(8)
    server: Server = getattr(system.servers, name)
    with relay_alone(system), Watcher(customers) as watcher:
        with Writers(customers, seed=3) as writers:
            for _ in range(scaled(1, 10)):
                writers.go_on(50)
                failures = system.log("relay").count("turn_failed")
                server.kill()
                assert child.wait_until(
                    lambda before=failures: system.log("relay").count("turn_failed") > before + 1, HEAL_SECONDS
                )
                server.start()
                system.assert_heals()
        system.assert_converged(watcher)
        assert runs(system)
        assert "Traceback" not in system.log("relay")


def test_relay_fills_an_emptied_redis_under_load(system: System):
    customers = system.add_customers(8)
    with relay_alone(system), Watcher(customers) as watcher:
        with Writers(customers, seed=4) as writers:
            for _ in range(scaled(1, 20)):
                writers.go_on(50)
                connection.read_models().flushall()
                system.assert_heals()
        system.assert_converged(watcher)


def runs(system: System) -> bool:
    return system.processes["relay"].poll() is None
