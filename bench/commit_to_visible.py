"""From the commit of a write until the document in Redis shows it.

Orders move on by the project's commands at due times, at two rates; the clock runs from the return of the commit, so
what the writer does to tell of it counts.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle

from bench import crews, plain, shop, writer
from bench.ground import Ground
from bench.result import Goal, Plot, Result, Table
from bench.rounds import Found, in_turn, percentile
from bench.watcher import Watcher
from bench.writer import Asked, Written
from orders.models import Order

OURS, RELAY = "ours", "ours, by a relay without a broker"
PEER, PEER_REUSING = "one Celery task per change", "the same, database connections kept"
SLOW, QUICK = 20, 200
# What may become of an order that is paid: each round goes on from the one before.
COMMANDS = ("ship_order", "deliver_order", "refund_order")
OUR_KEYS, PEER_KEYS = "*:OrderDetail:*", "bench:order:*"
LIMIT_SECONDS = 60


@dataclass(frozen=True)
class Contender:
    """Who projects, and in which environment it is written."""

    crew: Callable[[], AbstractContextManager[None]]
    keys: str = OUR_KEYS
    task: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)


def run(ground: Ground) -> Result:
    """Each contender has orders of its own; no more than one's processes run at a time."""
    runs = [(SLOW, ground.scaled(10, 40)), (SLOW, ground.scaled(20, 160)), (QUICK, ground.scaled(60, 800))]
    each = sum(writes for _, writes in runs)
    contenders = _contenders(ground, each)
    order_ids = iter(Order.objects.order_by("pk").values_list("pk", flat=True))
    measures = {}
    for name, contender in contenders.items():
        planned = [(rate, [next(order_ids) for _ in range(writes)]) for rate, writes in runs]
        measures[name] = partial(_measure, ground, contender, planned, cycle(COMMANDS))
    return _result(in_turn(measures, ground.scaled(1, len(COMMANDS)), ground.say))


def _contenders(ground: Ground, orders_each: int) -> dict[str, Contender]:
    shop.fill(orders=4 * orders_each, customers=200)
    shop.project()
    task = "bench.peers.task_per_change.put_order"
    database = {"DATABASE_URL": plain.copy(ground)}
    reusing = database | {"CELERY_DB_REUSE_MAX": "1000000"}
    # As `manage.py up --no-broker` has it.
    nowhere = {"BROKER_URL": f"unix://{ground.folder}/nowhere?db=0", "READMODELS_BROKER_PAUSE_SECONDS": "3600"}
    return {
        OURS: Contender(partial(crews.workers, ground)),
        RELAY: Contender(partial(crews.relay, ground), environ=nowhere),
        PEER: Contender(partial(crews.peer, ground, **database), PEER_KEYS, task, database),
        PEER_REUSING: Contender(partial(crews.peer, ground, **reusing), PEER_KEYS, task, database),
    }


def _measure(
    ground: Ground, contender: Contender, planned: Sequence[tuple[int, list[int]]], commands: Iterator[str]
) -> dict[str, float]:
    """The first of the runs is for all to get warm."""
    asked = Asked(next(commands), planned, contender.task)
    with contender.crew(), Watcher(ground.servers.read_models.url, contender.keys) as watcher:
        warm, *counted = _written(asked, contender.environ)
        watcher.wait_for([(each.order_id, each.version) for run in (warm, *counted) for each in run], LIMIT_SECONDS)
    found: dict[str, float] = {}
    for (rate, _), written in zip(planned[1:], counted, strict=True):
        lags = [(watcher.seen[each.order_id, each.version] - each.committed_ns) / 1e6 for each in written]
        found |= {f"p50 ms at {rate}/s": percentile(lags, 0.5), f"p99 ms at {rate}/s": percentile(lags, 0.99)}
        found[f"writes/s at {rate}/s"] = _writes_per_second(written)
    return found


def _written(asked: Asked, environ: Mapping[str, str]) -> list[list[Written]]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.writer"],
        input=writer.question(asked),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, **environ},
    )
    return writer.answer(done.stdout)


def _writes_per_second(written: Sequence[Written]) -> float:
    """Those that were due came to be, or this is less than the rate."""
    seconds = (max(each.committed_ns for each in written) - min(each.due_ns for each in written)) / 1e9
    return len(written) / seconds


def _result(found: Found) -> Result:
    slow, quick = _table(found, SLOW), _table(found, QUICK)
    p50, p99 = (slow.rows[OURS][unit].median for unit in ("p50 ms", "p99 ms"))
    goals = [
        Goal(f"ms until half of the writes are visible, at {SLOW}/s", p50, at_most=6),
        Goal(f"ms until 99 of 100 are, at {SLOW}/s", p99, at_most=20),
        Goal(f"ms until 99 of 100 are, at {QUICK}/s", quick.rows[OURS]["p99 ms"].median, at_most=100),
    ]
    bars = {f"{name}, {unit[:3]}": row[unit].median for name, row in slow.rows.items() for unit in ("p50 ms", "p99 ms")}
    plot = Plot("commit_to_visible", f"Commit to visible at {SLOW} writes per second", "ms", bars)
    notes = [
        "The time noted is 0.1 to 0.2 ms later than what a reader could have seen: Redis tells of each SET, upon which"
        " the document is read.",
        "Where writes come faster than they are projected, the lag grows for as long as they do:"
        f" at {QUICK}/s the figures of such a contender say how long was written.",
    ]
    return Result([slow, quick], goals, [plot], notes)


def _table(found: Found, rate: int) -> Table:
    end = f" at {rate}/s"
    rows = {
        name: {unit.removesuffix(end): spread for unit, spread in row.items() if unit.endswith(end)}
        for name, row in found.items()
    }
    return Table(f"At {rate} writes per second", rows, against=PEER, ratio_of="p50 ms")
