"""Rename a customer of 100,000 orders.

Beside it other customers are renamed, one after the other: nobody waits for the storm.
"""

import threading
import time
from contextlib import ExitStack

from django.db import connection

from bench import mass, shop, usage, workers
from bench.ground import Ground
from bench.result import Result, Table
from bench.rounds import Spread, percentile, spread
from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from project import site
from readmodels import connection as redis_connection
from readmodels import consistency, keys, outbox
from readmodels.declare import Document
from readmodels.query import reader
from users.commands import rename_user
from users.models import User
from users.readmodels.user_profile import UserProfile

OTHERS = 50
PAUSE_SECONDS = 0.05
LOOK_SECONDS = 0.001
LOST_SECONDS = 20.0
LIMIT_SECONDS = 180
POLL_SECONDS = 0.05
COMMAND, ALL, P50, P99 = "command ms", "s until all show it", "others' p50 ms", "others' p99 ms"


def run(ground: Ground) -> Result:
    """One live worker and one for the bulk lane, a process each, on two cores."""
    many = ground.scaled(1_000, 100_000)
    storms = ground.scaled(1, 3)
    shop.fill(orders=many // 10, customers=1)
    mass.multiply(10)
    others = _others()
    shop.project()
    customer = User.objects.order_by("pk").first()
    assert customer is not None
    with ExitStack() as stack:
        live = stack.enter_context(workers.worker(ground, "live", site.worker_command(1, "live")))
        bulk = stack.enter_context(workers.worker(ground, "bulk", site.worker_command(1, "bulk,repair,chores")))
        stack.enter_context(workers.beat(ground))
        calm = Writers(others)
        with calm:
            time.sleep(ground.scaled(2, 10))
        storm = []
        for number in range(storms):
            storm.append(_storm(customer.pk, f"Renamed {number}", others, many))
            ground.say(f"storm {number + 1}: " + ", ".join(f"{k} {v:,.3g}" for k, v in storm[-1].items()))
        memory = usage.peak_megabytes([live, bulk])
    rows = {unit: spread([row[unit] for row in storm]) for unit in storm[0]}
    return _result(many, calm, rows, memory)


def _others() -> list[int]:
    """Customers with an order each."""
    users = User.objects.bulk_create(
        User(email=f"other{n}@example.com", name=f"Other {n}", password="!") for n in range(OTHERS)
    )
    Order.objects.bulk_create(Order(customer=user) for user in users)
    return [user.pk for user in users]


class Writers:
    """Renames one of these customers after the other until the block ends, and sees how soon each shows."""

    def __init__(self, user_ids: list[int]) -> None:
        self.lags: list[float] = []
        self._user_ids = user_ids
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self._error: BaseException | None = None

    def __enter__(self) -> "Writers":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        if self._error:
            raise self._error

    def milliseconds(self, share: float) -> float:
        """What this share of the lags does not exceed."""
        return percentile(self.lags, share) * 1000

    def _work(self) -> None:
        number = 0
        try:
            while not self._is_over.wait(PAUSE_SECONDS):
                number += 1
                self._rename(self._user_ids[number % len(self._user_ids)], f"Name {time.time_ns()}")
        except BaseException as error:
            self._error = error
        finally:
            connection.close()

    def _rename(self, user_id: int, name: str) -> None:
        rename_user(user_id=user_id, name=name)
        committed = time.perf_counter()
        key = _key(UserProfile, user_id)
        while name.encode() not in (redis_connection.read_models().get(key) or b""):
            if time.perf_counter() - committed > LOST_SECONDS:
                raise SystemExit(f"{name} does not show after {LOST_SECONDS} s")
            time.sleep(LOOK_SECONDS)
        self.lags.append(time.perf_counter() - committed)


def _storm(user_id: int, name: str, others: list[int], many: int) -> dict[str, float]:
    """The customer is renamed while others are, and all of their orders show it."""
    with Writers(others) as writers:
        began = time.perf_counter()
        with consistency.recorded() as written:
            rename_user(user_id=user_id, name=name)
        command = time.perf_counter() - began
        assert written.token is not None
        _until_applied(written.token.xid)
        shown = time.perf_counter() - began
    _check(user_id, name)
    workers.until_projected(LIMIT_SECONDS)
    return {
        COMMAND: command * 1000,
        ALL: shown,
        "documents/s": many / shown,
        P50: writers.milliseconds(0.5),
        P99: writers.milliseconds(0.99),
    }


def _until_applied(xid: int) -> None:
    """No change of this transaction, and none that came of one, is left to be projected."""
    deadline = time.monotonic() + LIMIT_SECONDS
    with connection.cursor() as cursor:
        while outbox.is_pending_of(cursor, [xid]):
            if time.monotonic() > deadline:
                raise SystemExit(f"not everything shows the name after {LIMIT_SECONDS} s")
            time.sleep(POLL_SECONDS)


def _check(user_id: int, name: str) -> None:
    """Each document has the name."""
    ids = list(Order.objects.filter(customer_id=user_id).values_list("pk", flat=True))
    for start in range(0, len(ids), 1_000):
        some = ids[start : start + 1_000]
        bodies = redis_connection.read_models().mget([_key(OrderDetail, order_id) for order_id in some])
        for order_id, body in zip(some, bodies, strict=True):
            if name.encode() not in (body or b""):
                raise SystemExit(f"order {order_id} does not show {name}: {body!r}")


def _key(of: type[Document], key: int) -> str:
    return keys.document(of.__name__, reader().generation(of), str(key))


def _result(many: int, calm: Writers, storms: dict[str, Spread], memory: float) -> Result:
    table = Table(f"A customer of {many:,} orders is renamed", {"all in all": storms})
    before = {unit: Spread(*[calm.milliseconds(share)] * 3) for unit, share in ((P50, 0.5), (P99, 0.99))}
    during = {unit: storms[unit] for unit in (P50, P99)}
    lags = Table(
        "Commit to visible of other customers' names, meanwhile",
        {"nothing else at work": before, "during the storm": during},
        against="nothing else at work",
        ratio_of=P99,
    )
    notes = [
        f"{OTHERS} other customers, an order each, are renamed in turn, {PAUSE_SECONDS * 1000:.0f} ms after the one"
        " before shows.",
        f"Each order has two places with the name: its own page, and a row of OrdersByStatus, all in one partition."
        f" The workers, one process each, took {memory:.0f} MB at the most.",
    ]
    return Result([table, lags], notes=notes)
