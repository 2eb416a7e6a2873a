"""Place an order with five lines: what capture and wake cost the writer.

By the project's own command, in one transaction; commits wait for the disk, as in production.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.signals import post_save

from bench import plain, shop
from bench.ground import Ground
from bench.peers.task_per_change import put_order
from bench.result import Goal, Plot, Result, Table
from bench.rounds import Found, in_turn
from orders.commands import place_order
from orders.models import Order, Product
from readmodels import connection as redis_connection
from readmodels import wake
from users.models import User

BARE, OURS = "without capture", "ours"
EACH_WAKES = "ours, each commit with a message"
PER_ORDER, PER_ROW = "a .delay() for the order", "a .delay() for each saved row"
Place = Callable[[], Order]


@dataclass(frozen=True)
class Contender:
    """On which connection orders are placed, what is done before each, how many tasks are sent for it on commit."""

    database: BaseDatabaseWrapper
    tasks: int = 0
    before: Callable[[], object] = lambda: None


def run(ground: Ground) -> Result:
    """All in this process, a few orders each in turn: the ratios are near 1."""
    shop.fill(orders=ground.scaled(20, 1_000), customers=20)
    plain.copy(ground)
    contenders = _contenders()
    place = _placing()
    orders = ground.scaled(5, 20)
    blocks = {name: partial(_one_by_one, contender, place, orders) for name, contender in contenders.items()}
    _warm(blocks)
    found = in_turn(blocks, ground.scaled(2, 150), lambda line: None)
    ground.say(f"{len(blocks)} ways to place orders one by one are measured")
    many = ground.scaled(10, 500)
    wholes = {
        name: partial(_together, contender, place, many) for name, contender in contenders.items() if name != EACH_WAKES
    }
    return _result(found, in_turn(wholes, ground.scaled(1, 5), ground.say), many)


def _contenders() -> dict[str, Contender]:
    ours, bare = connections["default"], _plain()
    return {
        BARE: Contender(bare),
        OURS: Contender(ours),
        EACH_WAKES: Contender(ours, before=wake.clear_flag),
        PER_ORDER: Contender(bare, tasks=1),
        PER_ROW: Contender(bare, tasks=1 + shop.LINES),
    }


def _plain() -> BaseDatabaseWrapper:
    """A connection to the database without capture, which wakes nobody."""
    made = connections.create_connection("default")
    made.settings_dict = made.settings_dict | {"NAME": plain.NAME}
    made.ensure_connection()
    made.execute_wrappers.clear()
    return made


def _placing() -> Place:
    """Each call places an order of five other products for the next customer."""
    skus = list(Product.objects.order_by("pk").values_list("sku", flat=True))
    customers = list(User.objects.order_by("pk").values_list("pk", flat=True))
    numbers = count()

    def place() -> Order:
        number = next(numbers)
        lines = [(skus[(number * shop.LINES + line) % len(skus)], 1) for line in range(shop.LINES)]
        return place_order(customer_id=customers[number % len(customers)], lines=lines)

    return place


def _warm(blocks: Mapping[str, Callable[[], object]]) -> None:
    for block in blocks.values():
        block()


def _one_by_one(contender: Contender, place: Place, orders: int) -> dict[str, float]:
    seconds, cpu_seconds = 0.0, 0.0
    with _on(contender):
        for _ in range(orders):
            contender.before()
            began, cpu_began = time.perf_counter(), time.process_time()
            place()
            seconds += time.perf_counter() - began
            cpu_seconds += time.process_time() - cpu_began
    return {"ms per order": seconds / orders * 1000, "CPU ms of the writer": cpu_seconds / orders * 1000}


def _together(contender: Contender, place: Place, orders: int) -> dict[str, float]:
    began = time.perf_counter()
    with _on(contender), transaction.atomic():
        for _ in range(orders):
            place()
    return {"ms per order": (time.perf_counter() - began) / orders * 1000}


@contextmanager
def _on(contender: Contender) -> Iterator[None]:
    """Until the block ends, whoever asks for the default connection gets the contender's, and its tasks are sent."""

    def send(instance: Order, **kwargs: object) -> None:
        for _ in range(contender.tasks):
            put_order.delay_on_commit(instance.pk)

    before = connections["default"]
    connections["default"] = contender.database
    post_save.connect(send, sender=Order)
    try:
        yield
    finally:
        post_save.disconnect(send, sender=Order)
        connections["default"] = before
        redis_connection.broker().flushdb()


def _result(found: Found, together: Found, many: int) -> Result:
    single = Table("One order in a transaction", found, against=BARE, ratio_of="ms per order")
    whole = Table(f"{many} orders in a transaction", together, against=BARE, ratio_of="ms per order")
    goals = [
        Goal("ours against the write without capture", single.ratio(OURS), at_most=1.15),
        Goal("ours where each commit sends a message", single.ratio(EACH_WAKES), at_most=1.15),
        Goal(f"ours, {many} orders in a transaction", whole.ratio(OURS), at_most=1.15),
    ]
    bars = {name: single.ratio(name) for name in found}
    plot = Plot("write_path", "Placing an order", "times as long as without capture", bars)
    notes = [
        "Of ours, commits that come while a wake is on its way, up to a second, send no message of their own; so it is"
        " under load. One after a pause does.",
        "Nobody takes the messages meanwhile.",
    ]
    return Result([single, whole], goals, [plot], notes)
