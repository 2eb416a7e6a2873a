"""The read models' Redis emptied, killed, full or out of reach: no wrong answer meanwhile, and it heals by itself."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from project import child
from readmodels import connection, outbox
from readmodels.conf import conf
from readmodels.store import Store
from tests.faults.proxy import proxied
from tests.faults.system import HEAL_SECONDS, System, scaled
from tests.faults.watcher import Watcher
from tests.faults.writers import Writers


def test_emptied_redis_is_never_read_as_no_document(system: System):
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=1) as writers:
            for _ in range(scaled(2, 20)):
                refusals = watcher.refusals
                connection.read_models().flushall()
                assert child.wait_until(lambda before=refusals: watcher.refusals > before, HEAL_SECONDS)
                system.assert_heals()
        system.assert_converged(watcher)
    assert all(outcome.error is None for outcome in writers.outcomes)


def test_killed_redis_comes_back_from_its_file(system: System):
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=2) as writers:
            for _ in range(scaled(2, 20)):
                system.servers.read_models.kill()
                refusals = watcher.refusals
                writers.go_on(50)
                assert child.wait_until(lambda before=refusals: watcher.refusals > before, HEAL_SECONDS)
                system.servers.read_models.start()
                system.assert_heals()
        system.assert_converged(watcher)
    assert all(outcome.error is None for outcome in writers.outcomes)


def test_full_redis_acknowledges_nothing(system: System):
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=3) as writers, full(connection.read_models()):
            writers.go_on(200)
            backlog = outbox.backlog_rows()
            assert backlog > 100
            assert child.wait_until(lambda: outbox.lag_seconds() > 3, HEAL_SECONDS)
            assert outbox.backlog_rows() >= backlog
        system.assert_converged(watcher)
    assert watcher.refusals == 0
    assert all(outcome.error is None for outcome in writers.outcomes)


# A reader waits for Redis twice at the most: for the pointers and for the document, 2 s each.
def test_stalled_redis_ends_each_read_within_its_limit(system: System):
    customers = system.add_customers(8)
    with proxied(system.servers.read_models) as proxy:
        url = f"redis://127.0.0.1:{proxy.port}/0"
        system.restart(REDIS_URL=url)
        through_proxy = Store(connection.identified(url, conf().redis_timeout_seconds))
        with Watcher(customers, through_proxy) as watcher:
            with Writers(customers, seed=4) as writers:
                assert child.wait_until(lambda: watcher.answers > 20, HEAL_SECONDS)
                with proxy.stalled():
                    refusals = watcher.refusals
                    assert child.wait_until(lambda: watcher.refusals > refusals + scaled(2, 10), HEAL_SECONDS)
            system.assert_converged(watcher)
        system.restart()
    assert watcher.slowest_seconds < 2 * conf().redis_timeout_seconds + 0.5
    assert all(outcome.error is None for outcome in writers.outcomes)


@contextmanager
def full(client: redis.Redis) -> Iterator[None]:
    """Redis has no memory left for as long as the block lasts."""
    client.config_set("maxmemory", 1_000_000)
    try:
        yield
    finally:
        client.config_set("maxmemory", 0)
