"""The read models' Redis comes back with less than was acknowledged: an older file, an older replica, keys evicted."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from project import child
from project.own_redis import Redis
from readmodels import buckets, connection
from readmodels.conf import conf
from readmodels.store import Store
from tests.faults.proxy import Proxy, proxied
from tests.faults.system import HEAL_SECONDS, System, scaled
from tests.faults.watcher import Watcher
from tests.faults.writers import Writers


def test_older_file_is_noticed_and_made_up_for(system: System, tmp_path: Path):
    server = system.servers.read_models
    customers = system.add_customers(8)
    markers = buckets.now().markers
    with Watcher(customers) as watcher:
        with Writers(customers, seed=1) as writers:
            for _ in range(scaled(2, 10)):
                writers.go_on(20)
                server.stop()
                older = shutil.copytree(server.data, tmp_path / "older", dirs_exist_ok=True)
                server.start()
                system.assert_heals()
                writers.go_on(100)
                server.kill()
                refusals = watcher.refusals
                shutil.rmtree(server.data)
                shutil.copytree(older, server.data)
                server.start()
                system.assert_heals()
                assert watcher.refusals > refusals, "an older copy was read before anybody had looked at it"
        system.assert_converged(watcher)
    assert not [outcome for outcome in writers.outcomes if outcome.error]
    assert buckets.now().markers == markers, [line for line in system.log("worker").splitlines() if "redis_" in line]


def test_older_replica_that_is_promoted_is_made_up_for(system: System, replica: Redis):
    primary = system.servers.read_models
    customers = system.add_customers(8)
    with proxied(primary) as clients, proxied(primary) as replication:
        reached = Store(connection.identified(f"redis://127.0.0.1:{clients.port}/0", conf().redis_timeout_seconds))
        system.restart(REDIS_URL=f"redis://127.0.0.1:{clients.port}/0")
        follower = redis.Redis.from_url(replica.url)
        follow(follower, replication)
        with Watcher(customers, reached) as watcher:
            with Writers(customers, seed=2) as writers, replication.stalled():
                # Each of these is acknowledged by the primary alone.
                writers.go_on(100)
                primary.kill()
                follower.replicaof("NO", "ONE")
                clients.server = replica.socket
                with system.reading(reached):
                    system.assert_heals()
                    writers.go_on(50)
            with system.reading(reached):
                system.assert_converged(watcher)
    assert not [outcome for outcome in writers.outcomes if outcome.error]
    # Back to the first one, which now is the older copy.
    primary.start()
    system.restart()
    with Watcher(customers) as watcher:
        system.assert_heals()
        system.assert_converged(watcher)


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path, "replica", is_durable=False)
    server.log.parent.mkdir()
    server.start()
    yield server
    server.kill()


def follow(follower: redis.Redis, replication: Proxy) -> None:
    """It holds what the primary holds, and goes on following."""
    follower.replicaof("127.0.0.1", str(replication.port))
    assert child.wait_until(lambda: follower.info("replication")["master_link_status"] == "up", HEAL_SECONDS)


def test_evicting_redis_is_not_read(system: System):
    customers = system.add_customers(8)
    client = connection.read_models()
    with Watcher(customers) as watcher:
        with Writers(customers, seed=3) as writers:
            for _ in range(scaled(1, 10)):
                with evicting(client):
                    wait_for_refusals(watcher)
                    lose_keys(client)
                    writers.go_on(50)
                system.assert_heals()
        system.assert_converged(watcher)
    assert not [outcome for outcome in writers.outcomes if outcome.error]


def wait_for_refusals(watcher: Watcher) -> None:
    refusals = watcher.refusals
    assert child.wait_until(lambda: watcher.refusals > refusals + 20, HEAL_SECONDS)


def lose_keys(client: redis.Redis) -> None:
    evicted = client.info("stats")["evicted_keys"]
    client.config_set("maxmemory", client.info("memory")["used_memory"] - 50_000)
    assert child.wait_until(lambda: client.info("stats")["evicted_keys"] > evicted, HEAL_SECONDS)


@contextmanager
def evicting(client: redis.Redis) -> Iterator[None]:
    """Redis may drop what it likes for as long as the block lasts."""
    client.config_set("maxmemory-policy", "allkeys-random")
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)
        client.config_set("maxmemory-policy", "noeviction")
