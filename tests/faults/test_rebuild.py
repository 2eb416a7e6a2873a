"""Read models built anew while customers write and pages are read: nobody notices, and a kill costs nothing done."""

import json
import random
import time
from contextlib import suppress

import psutil
from django.db import connection

from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from project import child
from readmodels import buckets, builds, drift, generations, keys, models, rebuild, snapshot, sweeping, switching
from readmodels.conf import conf
from readmodels.errors import ReadModelError
from readmodels.query import Reader
from readmodels.store import Store
from tests.faults.crew import Crew
from tests.faults.small_writes import SmallWrites, p99
from tests.faults.system import System, scaled
from tests.faults.watcher import Watcher
from tests.faults.writers import Writers
from tests.rows import add_user
from users.models import User
from users.readmodels.user_profile import UserProfile

ORDERS = scaled(10_000, 200_000)
ORDERS_EACH = 50
USERS = scaled(4_000, 40_000)
REBUILT = ("OrderDetail", "CustomerOrders")
BUILD_SECONDS = scaled(60, 900)
MOST_GROWTH_BYTES = 60 * 2**20
ROLLBACK_SECONDS = 1.0
P99_SECONDS = 2.0


def test_nobody_notices_rebuild_switch_rollback_and_drop(system: System):
    writing = system.add_customers(20)
    customers = add_customers_with_orders(system)
    system.start_worker("live", queues="live")
    before = numbers()
    # As many writes as the workers keep up with by themselves, each of which reaches up to 30 orders.
    writers = Writers(writing, seed=1, count=2, pause_seconds=0.05)
    with writers, SmallWrites() as small, Watcher(writing) as watcher, Pages(customers) as pages:
        growths = [rebuild_beside(system, name) for name in REBUILT]
        after = numbers()
        found = [verify(system, name) for name in REBUILT]
        rollbacks = [rollback(system, name) for name in REBUILT]
        assert numbers() == before
        for name in REBUILT:
            switching.switch(system.store, name, after[name])
        drop_what_is_retired()
    print(f"memory, more than at the start: {[held // 2**20 for held in growths]} MiB; rollback: {rollbacks} s")
    print(f"{pages.answers} pages read, the slowest in {pages.slowest_seconds:.3f} s; {watcher.answers} by the watcher")
    print(f"{writers.done} writes by others; {small.done} timed till read, p99 {p99(small.lags_since()):.2f} s")
    assert [each.total for each in found] == [0, 0], found
    assert pages.wrong + watcher.wrong == []
    assert watcher.refusals == 0
    assert {name for name, number in numbers().items() if before[name] != number} == set(REBUILT)
    assert max(growths) < MOST_GROWTH_BYTES
    assert max(rollbacks) < ROLLBACK_SECONDS
    assert p99(small.lags_since()) < P99_SECONDS


def test_rebuild_that_was_killed_half_way_is_gone_on_with(system: System):
    add_users(system)
    system.kill("worker")
    system.start_worker("live", queues="live,bulk")  # nobody repairs
    number = switching.begin("UserProfile")
    slow = {"READMODELS_REBUILD_ROWS_PER_SECOND": str(USERS // 4), "READMODELS_REPAIR_LEASE_SECONDS": "2"}
    system.start_rebuild("UserProfile", **slow)
    assert child.wait_until(lambda: rows_done("UserProfile") >= USERS // 3, BUILD_SECONDS), system.log("rebuild")
    system.kill("rebuild")
    done = rows_done("UserProfile")
    with snapshot.reading() as (_, killed):
        pass
    add_user()  # so that what is built from here on has a higher version
    system.start_rebuild("UserProfile")
    assert child.wait_until(lambda: system.store.pointers()["UserProfile"] == number, BUILD_SECONDS)
    of_before = sum(version <= killed.version for version in versions(system.store))
    print(f"{done} of {USERS} rows were done before the kill, {of_before} documents are of then")
    assert done <= of_before < USERS


class Pages(Crew):
    """Reads orders that nobody changes, and their customers' pages, until the block ends; no answer may be another."""

    def __init__(self, customer_ids: list[int]) -> None:
        self.wrong: list[str] = []
        self.answers = 0
        self.slowest_seconds = 0.0
        self._customer_ids = customer_ids
        self._orders = dict(Order.objects.filter(customer_id__in=customer_ids[:100]).values_list("pk", "total_cents"))
        self._reader = Reader(Store())
        self._random = random.Random(1)
        super().__init__([self._read], pause_seconds=0.002)

    def _read(self) -> None:
        started = time.monotonic()
        try:
            self._look(self._random.choice([*self._orders]), self._random.choice(self._customer_ids))
            self.answers += 1
        except ReadModelError as error:
            self.wrong.append(repr(error))
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)

    def _look(self, order_id: int, customer_id: int) -> None:
        body = self._reader.document(OrderDetail, order_id).body
        if body is None or json.loads(body)["total_cents"] != self._orders[order_id]:
            self.wrong.append(f"order {order_id} was {body!r}")
        page = self._reader.page(CustomerOrders, customer_id, limit=100)
        if (len(page.rows), page.measures[""]["orders"]) != (ORDERS_EACH, ORDERS_EACH):
            self.wrong.append(f"customer {customer_id}: {len(page.rows)} rows, measures {page.measures.get('')}")


def add_customers_with_orders(system: System) -> list[int]:
    """Customers with all the orders, built by a repair: that takes half as long as capture and projection."""
    system.kill("worker")
    ids = [add_user().pk for _ in range(ORDERS // ORDERS_EACH)]
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_order (customer_id, status, total_cents, placed_at)"
            " SELECT id, (ARRAY['placed', 'paid', 'shipped', 'delivered'])[1 + n %% 4], n, now() - n * interval '1 min'"
            " FROM unnest(%s::bigint[]) id, generate_series(1, %s) n",
            [ids, ORDERS_EACH],
        )
        cursor.execute("DELETE FROM readmodels_change")
    buckets.give_new_markers(range(keys.BUCKETS))
    assert rebuild.repair(system.store)
    sweeping.publish_progress(system.store)
    return ids


def add_users(system: System) -> None:
    """Users that nobody changes, projected."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO users_user (email, name, password, is_superuser)"
            " SELECT n || '@example.com', 'User ' || n, '', false FROM generate_series(1, %s) n",
            [USERS],
        )
    assert system.is_settled_within(BUILD_SECONDS)


def rebuild_beside(system: System, name: str) -> int:
    """A new generation is live, as after a deployment; returns by how much the memory of `rebuild` grew meanwhile."""
    if "repair" in system.processes:
        system.kill("repair")  # what is filled first, `rebuild` has filled, so it has loaded its code by then
    live = models.Generation.objects.get(read_model=name, state="live")
    declared = live.fingerprint
    # What is served was made of another declaration, so that it is kept to go back to.
    models.Generation.objects.filter(id=live.id).update(fingerprint="another")
    generations.point(system.store)
    generations.register(generations.from_data(live.plan), declared)
    began = time.monotonic()
    system.start_rebuild(name)
    assert child.wait_until(lambda: rows_done(name) > 0, BUILD_SECONDS), system.log("rebuild")
    growth = growth_until_it_ends(system)
    seconds = time.monotonic() - began
    print(f"{name}: {ORDERS} orders in {seconds:.1f} s, {ORDERS / seconds:.0f} a second, verification included")
    assert numbers()[name] > live.number, system.log("rebuild")
    return growth


def growth_until_it_ends(system: System) -> int:
    """By how many bytes the rebuild's memory is at the most above what it is now."""
    process = psutil.Process(system.processes["rebuild"].pid)
    held = [process.memory_info().rss]

    def sample() -> None:
        with suppress(psutil.Error):  # it has ended
            held.append(process.memory_info().rss)

    with Crew([sample], pause_seconds=0.05):
        system.start_worker("repair", 1, queues="repair")  # takes part
        assert child.wait_until(lambda: system.processes["rebuild"].poll() is not None, BUILD_SECONDS)
    system.kill("rebuild")
    return max(held) - held[0]


def verify(system: System, name: str) -> drift.Drift:
    with snapshot.reading() as (cursor, _):
        [live] = [each for each in generations.current(cursor) if (each.plan.name, each.state) == (name, "live")]
    return drift.verify_generation(system.store, live)


def rollback(system: System, name: str) -> float:
    """How many seconds it took."""
    began = time.monotonic()
    switching.rollback(system.store, name)
    return round(time.monotonic() - began, 3)


def drop_what_is_retired() -> None:
    """The worker has dropped what was switched away from."""
    time.sleep(2 * conf().pointer_seconds)  # readers hold its number for so long; it is kept for far longer
    models.Generation.objects.filter(state="retired").update(retired_at="2026-01-01T00:00Z")
    over = models.Generation.objects.filter(state="over")
    assert child.wait_until(lambda: over.count() == len(REBUILT), BUILD_SECONDS)
    over.update(retired_at="2026-01-01T00:00Z")
    assert child.wait_until(lambda: not generations.are_due(), BUILD_SECONDS)


def numbers() -> dict[str, int]:
    """The live generation of each read model."""
    return dict(models.Generation.objects.filter(state="live").values_list("read_model", "number"))


def rows_done(name: str) -> int:
    """How many rows of what is being built of the read model are filled."""
    return sum(each.rows for each in builds.progress() if each.read_model == name)


def versions(store: Store) -> list[str]:
    """Of each user's document."""
    reader, ids = Reader(store), [*User.objects.values_list("pk", flat=True)]
    chunks = [ids[start : start + 500] for start in range(0, len(ids), 500)]
    return [answer.version for chunk in chunks for answer in reader.documents(UserProfile, chunk)]
