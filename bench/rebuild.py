"""Rebuild OrderDetail, at 10,000 to 200,000 orders.

By `manage.py readmodels rebuild` alone, in a process of its own: a new generation filled beside the live one, then
compared whole with a fresh build, then switched to.
"""

import os
import resource
import time

import psutil
from django.db import connection

from bench import mass, shop, usage
from bench.ground import Ground
from bench.result import Goal, Plot, Result, Table
from bench.rounds import Found, Spread, spread
from project import child, env, site
from readmodels import models
from readmodels.models import GenerationState

READ_MODEL = "OrderDetail"
POLL_SECONDS = 0.02
FILLED, LIVE, MEMORY = "documents/s filled", "documents/s until live", "peak MB"


def run(ground: Ground) -> Result:
    """From few orders to many; several rebuilds at each size."""
    first = ground.scaled(100, 10_000)
    found: dict[int, dict[str, Spread]] = {}
    for times in (1, 5, 20):
        shop.fill(orders=first, customers=max(1, first // 20))
        mass.multiply(times)
        orders = first * times
        rows = []
        for number in range(ground.scaled(1, 3 if times < 20 else 2)):
            rows.append(_rebuild(ground, orders))
            ground.say(f"{orders:,} orders, {number + 1}: " + ", ".join(f"{k} {v:,.3g}" for k, v in rows[-1].items()))
        found[orders] = {unit: spread([row[unit] for row in rows]) for unit in rows[0]}
    return _result(found)


def _rebuild(ground: Ground, orders: int) -> dict[str, float]:
    """What the command took, from when it began to fill; its start alone takes a second."""
    before = _cpu_seconds()
    log = ground.folder / "logs" / "rebuild.log"
    command = [*site.MANAGE, "readmodels", "rebuild", READ_MODEL]
    process = child.spawn(command, log=log, environ=os.environ, folder=env.ROOT)
    watched, peak = psutil.Process(process.pid), 0.0
    while process.poll() is None:
        peak = max(peak, usage.peak_megabytes([watched]))
        time.sleep(POLL_SECONDS)
    if process.returncode:
        raise SystemExit(f"the rebuild failed:\n{child.tail(log)}")
    filling, living = _seconds(orders)
    return {
        FILLED: orders / filling,
        LIVE: orders / living,
        MEMORY: peak,
        "its CPU us/document": (_cpu_seconds() - before) / orders * 1e6,
    }


def _cpu_seconds() -> float:
    """Of children that have ended, and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _seconds(orders: int) -> tuple[float, float]:
    """How long the live generation took to be filled, and all in all until now, by PostgreSQL's clock."""
    live = models.Generation.objects.get(read_model=READ_MODEL, state=GenerationState.LIVE)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rows, extract(epoch FROM filled_at - started_at)::float,"
            " extract(epoch FROM clock_timestamp() - started_at)::float"
            " FROM readmodels_build WHERE generation_id = %s",
            [live.id],
        )
        rows, filling, living = cursor.fetchone()
    if rows != orders:
        raise SystemExit(f"{rows} of {orders} documents were built")
    return filling, living


def _result(sizes: dict[int, dict[str, Spread]]) -> Result:
    found: Found = {f"{orders:,} orders": row for orders, row in sizes.items()}
    (least, fewest), *_, (most, many) = sizes.items()
    table = Table("Rebuild of OrderDetail", found, against=f"{least:,} orders", ratio_of=FILLED)
    goals = [
        Goal(f"{FILLED}, of {most:,}", many[FILLED].median, at_least=20_000),
        Goal(
            f"memory at {most:,} against {least:,}",
            many[MEMORY].median / fewest[MEMORY].median,
            at_most=1.1,
        ),
    ]
    lines = {unit: [(orders, row[unit].median) for orders, row in sizes.items()] for unit in (FILLED, LIVE)}
    plots = [Plot("rebuild", "Rebuild of OrderDetail", "documents/s", lines=lines, x_title="orders")]
    notes = [
        "Until live: filled, then all of it compared with a fresh build and looked through for orphans, then switched"
        " to; queries go on seeing the generation before.",
        "One process; workers would take part with one more.",
    ]
    return Result([table], goals, plots, notes)
