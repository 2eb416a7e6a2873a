"""Project 20,000 changed orders.

Ours through the real worker: a wake, guarded writes of all read models that show the change, indexes, measures, and the
changes acknowledged. The peers know beforehand which orders changed, and write one document each, without any guard.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import psutil
import redis
from django.db import connection as database
from django.db.models import Case, F, Value, When
from django.db.models.functions import Now

from bench import shop, usage, workers
from bench.ground import Ground
from bench.peers import celery_queue, copy_to_redis, sql_built
from bench.result import Goal, Plot, Result, Table
from bench.rounds import Found, Measure, in_turn
from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from orders.status import Status
from project import child, site
from readmodels.outbox import Lane
from readmodels.query import reader

ONE, ALL = "ours, one document an order", "ours, all read models of an order"
TASK, REUSED = "a task each, loading by the ORM", "the same, connections reused"
BATCHES, COPY = "tasks of 500, our SQL, MSET without guard", "our SQL, COPY piped into Redis"
BATCH = 500
LIMIT_SECONDS = 90
LOG_SECONDS = 0.3


class Watch:
    """From its making on, time and the CPU that these processes and the servers use."""

    def __init__(self, ground: Ground, processes: Sequence[psutil.Process]) -> None:
        servers = (each.process for each in ground.servers.by_variable.values())
        self._servers = [psutil.Process(process.pid) for process in servers if process]
        self._processes = processes
        self._used = self._cpu_seconds()
        self._began = time.perf_counter()

    def stop(self, after: Callable[[], object] = lambda: None) -> tuple[float, float, float]:
        """(seconds, of CPU by the processes, of CPU by the servers); of CPU what is done after the time counts, too.

        What is too little to be told is a tick: nothing is done by none, and others are compared with it.
        """
        seconds = time.perf_counter() - self._began
        after()
        used = (now - then for now, then in zip(self._cpu_seconds(), self._used, strict=True))
        processes, servers = (max(each, usage.TICK_SECONDS) for each in used)
        return seconds, processes, servers

    def _cpu_seconds(self) -> tuple[float, float]:
        return usage.cpu_seconds(self._processes), usage.cpu_seconds(self._servers)


def _tidy(ground: Ground) -> None:
    """PostgreSQL clears its tables of dead rows, and Redis rewrites its file, now and not while anybody is measured: in
    whose time it falls is chance.
    """
    _vacuum("")
    with redis.Redis.from_url(ground.servers.read_models.url) as client:
        client.config_set("auto-aof-rewrite-percentage", 0)
        client.bgrewriteaof()
        if not child.wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"], LIMIT_SECONDS):
            raise SystemExit(f"Redis does not rewrite its file within {LIMIT_SECONDS} s")


def _vacuum(table: str) -> None:
    with database.cursor() as cursor:
        cursor.execute(f"VACUUM {table}")


def _row(orders: int, values: int, seconds: float, worker: float, servers: float) -> dict[str, float]:
    """Of so many orders, of which so many documents and rows were written."""
    return {
        "orders/s": orders / seconds,
        "values/s": values / seconds,
        "worker CPU us/order": worker / orders * 1e6,
        "all CPU us/order": (worker + servers) / orders * 1e6,
    }


def run(ground: Ground) -> Result:
    """Changes are there, or tasks sent, before the time begins; it ends when all of them are done."""
    orders = ground.scaled(600, 20_000)
    shop.fill(orders=orders, customers=orders // 20)
    shop.project()
    ids = list(Order.objects.order_by("pk").values_list("pk", flat=True))
    few = ids[: ground.scaled(60, 2_000)]
    chunks = [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
    with ExitStack() as stack:
        ours = stack.enter_context(workers.worker(ground, "worker", site.worker_command(2, "live")))
        beat = stack.enter_context(workers.beat(ground))
        beat.suspend()
        plain = stack.enter_context(celery_queue.idle_worker(ground, "plain"))
        reusing = stack.enter_context(celery_queue.idle_worker(ground, "reusing", DB_REUSE_MAX="1000000"))
        measures: dict[str, Measure] = {
            ONE: partial(_project, ground, ours, beat, chunks, _touch),
            ALL: partial(_project, ground, ours, beat, chunks, _ship_or_pay),
            TASK: partial(_take, ground, "plain", plain, "by_orm", few, len(few)),
            REUSED: partial(_take, ground, "reusing", reusing, "by_orm", few, len(few)),
            BATCHES: partial(_take, ground, "reusing", reusing, "by_sql", chunks, orders),
            COPY: partial(_copy, ground, ids),
        }
        for measure in measures.values():
            measure()  # so that all is warm
        found = in_turn(measures, ground.scaled(1, 5), ground.say)
    return _result(found, len(few), orders)


def _project(
    ground: Ground,
    worker: psutil.Process,
    beat: psutil.Process,
    chunks: list[list[int]],
    change: Callable[[list[int]], object],
) -> dict[str, float]:
    """The orders are changed, some by each statement, and then projected."""
    beat.resume()
    before = workers.values_written(ground, "worker")
    with workers.held(Lane.LIVE):
        for chunk in chunks:
            change(chunk)
        _tidy(ground)
    watch = Watch(ground, [worker])
    workers.until_projected(LIMIT_SECONDS)
    used = watch.stop(after=lambda: _vacuum("readmodels_change"))
    beat.suspend()
    time.sleep(LOG_SECONDS)  # a batch is in the log just after it is acknowledged
    values = workers.values_written(ground, "worker") - before
    _check([chunk[-1] for chunk in chunks])
    return _row(sum(map(len, chunks)), values, *used)


def _touch(ids: list[int]) -> object:
    """What only an order's own page shows."""
    return Order.objects.filter(pk__in=ids).update(version=F("version") + 1, updated_at=Now())


def _ship_or_pay(ids: list[int]) -> object:
    """What all lists show: paid orders are shipped, and the next time the other way round."""
    other = Case(When(status=Status.PAID, then=Value(Status.SHIPPED)), default=Value(Status.PAID))
    return Order.objects.filter(pk__in=ids).update(status=other, version=F("version") + 1, updated_at=Now())


def _check(ids: list[int]) -> None:
    """The documents show what the tables have."""
    for order in Order.objects.filter(pk__in=ids):
        body = json.loads(reader().document(OrderDetail, order.pk).body or b"{}")
        if (body.get("version"), body.get("status")) != (order.version, order.status):
            raise SystemExit(f"order {order.pk} is not as projected: {body}")


def _take(
    ground: Ground, name: str, worker: psutil.Process, task: str, arguments: Sequence[Any], orders: int
) -> dict[str, float]:
    celery_queue.send(task, arguments)
    _tidy(ground)
    watch = Watch(ground, [worker])
    celery_queue.drain(name, orders)
    return _row(orders, orders, *watch.stop())


def _copy(ground: Ground, ids: list[int]) -> dict[str, float]:
    celery_queue.values().flushdb()
    servers, orders = ground.servers, len(ids)
    given = [servers.postgres.url, str(servers.read_models.socket), "1"]
    command, sql = [sys.executable, "-m", copy_to_redis.__name__, *given], sql_built.statement(ids)
    _tidy(ground)
    watch = Watch(ground, [])
    done = subprocess.run(command, input=sql, capture_output=True, text=True, check=True)
    seconds, worker = map(float, done.stdout.split())
    _, _, servers_cpu = watch.stop()
    if (found := celery_queue.values().dbsize()) != orders:
        raise SystemExit(f"{found} of {orders} orders were copied")
    return _row(orders, orders, seconds, worker, servers_cpu)


def _result(found: Found, few: int, orders: int) -> Result:
    table = Table(f"{orders:,} changed orders", found, against=TASK, ratio_of="orders/s")
    cpu = {name: row["all CPU us/order"].median for name, row in found.items()}
    values = {name: row["values/s"].median for name, row in found.items()}
    bounds = ((TASK, 50), (REUSED, 25), (BATCHES, 0.5))
    goals = [Goal(f"{ONE}, against {peer}", table.ratio(ONE, peer), at_least=bound) for peer, bound in bounds]
    goals += [
        Goal(f"{ALL}: values/s against {peer}", values[ALL] / values[peer], at_least=bound) for peer, bound in bounds
    ]
    goals.append(Goal("ours, one document an order, against COPY per core", cpu[COPY] / cpu[ONE], at_least=0.5))
    notes = [
        "One document an order: version and updated_at changed, which only OrderDetail shows. All read models: the"
        " status changed; OrderDetail, CustomerOrders, OrdersByStatus (out of one partition, into another) and"
        " SalesByDay were written, while the peers write one document all the same.",
        "The ratio in the table is of orders; of all read models the goals compare values, documents and rows alike.",
        f"Orders are changed by statements of {BATCH} under capture; all go through the live lane of two processes.",
        f"Those with a task each were measured on {few:,} orders, sent before the time began.",
        "Per core: orders per second of CPU, that of the worker or client, PostgreSQL and Redis together. Of ours with"
        " what PostgreSQL takes, afterwards, to clear the outbox of what was acknowledged.",
    ]
    bars = {name: row["orders/s"].median for name, row in found.items()}
    plot = Plot("projection", "Changed orders projected", "orders/s", bars, is_logarithmic=True)
    return Result([table], goals, [plot], notes)
