"""A storm does not drown the small: a customer with very many orders renamed five times while others' orders change."""

import re
from collections import defaultdict
from contextlib import suppress

import psutil
from django.db import connection

from project import child
from readmodels import buckets, keys, models, rebuild, sweeping, testing
from tests.faults.crew import Crew
from tests.faults.small_writes import SmallWrites, p99
from tests.faults.system import System, scaled
from tests.rows import add_user
from users.commands import rename_user

ORDERS = scaled(20_000, 100_000)
RENAMES = 5
# A rename shows on the order's page and in the staff's list.
PASS_WRITES = 2 * ORDERS
BATCH_WRITES = 2 * 500
P99_SECONDS = 2.0
# The interpreter, the code and one batch; what one batch needs depends on no number of orders.
MOST_BYTES = 150 * 2**20
STORM_SECONDS = scaled(60, 600)


def test_storm_of_renames_delays_nobody_and_is_resumed_after_a_kill(system: System):
    customer_id = add_customer_with_orders(system)
    start_workers(system)
    with SmallWrites() as others, Memory(system) as memory:
        assert child.wait_until(lambda: others.done >= 50, STORM_SECONDS)
        rename_user(user_id=customer_id, name="Name 1")
        # 1. The others come while the first is worked off.
        for number in range(2, RENAMES + 1):
            wait_until_written(system, PASS_WRITES * number // 20)
            rename_user(user_id=customer_id, name=f"Name {number}")
        # 2. They are worked off together; half-way through that, the worker is killed.
        assert child.wait_until(lambda: total("fan_outs", system) == RENAMES, STORM_SECONDS)
        assert child.wait_until(lambda: 0 < children() < ORDERS // 2, STORM_SECONDS)
        system.kill("bulk")
        before, left = written(system), children()
        start_bulk_worker(system)
        assert child.wait_until(lambda: models.Change.objects.filter(shard__gte=8).count() == 0, STORM_SECONDS)
    print(f"others' p99: {p99(others.lags_since()):.2f} s")
    print(f"written: {before} + {written(system)}; one pass is {PASS_WRITES}")
    print("memory at most, in MiB:", {name: held // 2**20 for name, held in memory.peaks.items()})
    assert p99(others.lags_since()) < P99_SECONDS
    assert written(system) <= 2 * left + BATCH_WRITES, "what was done before the kill was done again"
    assert before + written(system) <= 2 * PASS_WRITES + BATCH_WRITES, "more than two passes"
    assert max(memory.peaks.values()) < MOST_BYTES
    assert system.is_settled_within(STORM_SECONDS)
    testing.assert_law(system.store)
    system.assert_no_drift()


def add_customer_with_orders(system: System) -> int:
    """A customer with all the orders, built by a repair: that takes half as long as capture and projection."""
    system.kill("worker")
    customer_id = add_user(name="Name 0").pk
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_order (customer_id, status, total_cents, placed_at)"
            " SELECT %s, (ARRAY['placed', 'paid', 'shipped', 'delivered'])[1 + n %% 4], n, now() - n * interval '1 min'"
            " FROM generate_series(1, %s) n",
            [customer_id, ORDERS],
        )
        cursor.execute("DELETE FROM readmodels_change")
    buckets.give_new_markers(range(keys.BUCKETS))
    assert rebuild.repair(system.store)
    sweeping.publish_progress(system.store)
    return customer_id


def start_workers(system: System) -> None:
    """As `manage.py up` has them: one for what somebody waits for, one for the rest."""
    system.start_worker("live", queues="live")
    start_bulk_worker(system)


def start_bulk_worker(system: System) -> None:
    system.start_worker("bulk", 1, queues="bulk,repair")


def wait_until_written(system: System, writes: int) -> None:
    assert child.wait_until(lambda: written(system) >= writes, STORM_SECONDS), system.log("bulk")[-2000:]


def written(system: System) -> int:
    """How many documents and rows the bulk worker, as it runs now, has written."""
    return total("writes", system)


def total(field: str, system: System) -> int:
    """The sum of a field over what the bulk worker, as it runs now, has logged."""
    return sum(int(number) for number in re.findall(rf" {field}=(\d+)", system.log("bulk")))


def children() -> int:
    """How many documents of the fan-outs are still to be built."""
    return models.Change.objects.filter(shard__gte=8, is_fan_out=False).count()


class Memory(Crew):
    """Samples what the workers' processes hold until the block ends; the most, by worker."""

    def __init__(self, system: System) -> None:
        self.peaks: dict[str, int] = defaultdict(int)
        self._system = system
        super().__init__([self._sample], pause_seconds=0.2)

    def _sample(self) -> None:
        for name in ("live", "bulk"):
            with suppress(KeyError, ValueError, psutil.Error):  # it is killed just now
                held = max(process.memory_info().rss for process in self._system.pool(name))
                self.peaks[name] = max(self.peaks[name], held)
