"""PostgreSQL stopped, killed, recovering or out of reach: the epoch goes up by itself and nothing old wins."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from django.db import connection

from project import child
from readmodels import models
from tests.faults.proxy import proxied
from tests.faults.system import HEAL_SECONDS, System, scaled
from tests.faults.watcher import Watcher
from tests.faults.writers import Writers
from users.models import User

BACK_ENDS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"


def stop_and_start(system: System) -> None:
    system.servers.postgres.stop()
    connection.close()
    system.servers.postgres.start()


def kill_and_start(system: System) -> None:
    system.servers.postgres.kill()
    connection.close()
    system.servers.postgres.start()


def kill_one_back_end(system: System) -> None:
    """The postmaster ends all other back ends and recovers inside itself; its start time stays."""
    with connection.cursor() as cursor:
        cursor.execute(BACK_ENDS)
        [[pid], *_] = cursor.fetchall()
    os.kill(pid, signal.SIGKILL)
    connection.close()
    assert child.wait_until(system.servers.postgres.is_ready, HEAL_SECONDS)


def terminate_back_ends(system: System) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_terminate_backend(pid) FROM ({BACK_ENDS}) other")


@pytest.mark.parametrize("fault", [stop_and_start, kill_and_start, kill_one_back_end])
def test_recovery_raises_the_epoch_and_loses_nothing(system: System, fault: Callable[[System], None]):
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=1) as writers:
            for _ in range(scaled(2, 15)):
                epoch = models.Clock.objects.get().epoch
                writers.go_on(50)
                fault(system)
                system.assert_heals()
                assert models.Clock.objects.get().epoch > epoch
        system.assert_converged(watcher)
    assert_nothing_answered_is_lost(writers)


def test_terminated_back_ends_lose_nothing(system: System):
    customers = system.add_customers(8)
    with Watcher(customers) as watcher:
        with Writers(customers, seed=2) as writers:
            for _ in range(scaled(5, 40)):
                writers.go_on(50)
                terminate_back_ends(system)
                system.assert_heals()
        system.assert_converged(watcher)
    assert_nothing_answered_is_lost(writers)


def test_writers_without_synchronous_commit_lose_nothing_in_a_crash(system: System):
    customers = system.add_customers(8)
    with asynchronous_commits(), Watcher(customers) as watcher:
        with Writers(customers, seed=3, pause_seconds=0.001) as writers:
            for _ in range(scaled(2, 15)):
                writers.go_on(50)
                kill_and_start(system)
                system.assert_heals()
        system.assert_converged(watcher)
    assert_nothing_answered_is_lost(writers)


# A request waits for a statement that does not end, or for a connection: 2 s as set here, and 5 s.
def test_stalled_postgres_ends_each_write_within_its_limit(system: System):
    customers = system.add_customers(8)
    limits = {"READMODELS_STATEMENT_SECONDS": "2"}
    with proxied(system.servers.postgres) as proxy, Watcher(customers) as watcher:
        address = {"DATABASE_URL": system.database_url(proxy.port)}
        system.restart(**address, **limits)
        system.start_writer(customers, seed=4, **address, **limits)
        assert child.wait_until(lambda: len(system.written()) > 20, HEAL_SECONDS)
        for _ in range(scaled(1, 5)):
            with proxy.stalled():
                failures = failed(system)
                assert child.wait_until(lambda before=failures: failed(system) >= before + 2, HEAL_SECONDS)
            system.assert_heals()
        outcomes = system.written()
        system.kill("writer")
        system.assert_converged(watcher)
        system.restart()
    assert max(outcome.seconds for outcome in outcomes) < 2 + 5 + 1
    assert watcher.refusals == 0


def failed(system: System) -> int:
    return sum(outcome.error is not None for outcome in system.written())


@contextmanager
def asynchronous_commits() -> Iterator[None]:
    """Connections made from now on, until the block ends, do not wait for the disk, which is written to rarely."""
    name = connection.settings_dict["NAME"]
    with connection.cursor() as cursor:
        cursor.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        cursor.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        cursor.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f'ALTER DATABASE "{name}" RESET synchronous_commit')
            cursor.execute("ALTER SYSTEM RESET wal_writer_delay")
            cursor.execute("SELECT pg_reload_conf()")


def assert_nothing_answered_is_lost(writers: Writers) -> None:
    """Each write that was answered has left its mark: a user's version counts them, and later writes hide none."""
    versions = dict(User.objects.values_list("pk", "version"))
    answered = Counter(outcome.user_id for outcome in writers.outcomes if outcome.error is None)
    assert not {user_id for user_id, writes in answered.items() if versions[user_id] - 1 < writes}
