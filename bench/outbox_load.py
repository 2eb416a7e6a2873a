"""The outbox while orders are changed at a steady rate and a worker projects them, as `make run` has it."""

import time
from dataclasses import dataclass
from itertools import cycle

from django.db import connection
from django.db.models import F

from bench import workers
from bench.ground import Ground
from orders.models import Order
from project import child, site
from readmodels import outbox

WRITES_PER_SECOND = 200
SAMPLE_SECONDS = 0.5
# Long enough for two vacuums in each half: PostgreSQL looks once a minute for what there is to do. And for what is left
# to be projected.
LOAD_SECONDS, DRAIN_SECONDS = 240, 30
SIZES = """SELECT pg_total_relation_size('readmodels_change'),
    (SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'readmodels_change'),
    (SELECT count(*) FROM readmodels_change),
    (SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('readmodels_acknowledged'))"""


@dataclass(frozen=True)
class Sample:
    """The outbox at one moment, and beside it the acknowledged changes, which are kept for a day."""

    seconds: float
    mib: float
    dead_rows: float
    pending_rows: float
    kept_mib: float


def watched(ground: Ground) -> tuple[list[Sample], float]:
    """(what was seen meanwhile, writes per second that there were): each changes one order, and commits by itself."""
    ids = cycle(Order.objects.order_by("pk").values_list("pk", flat=True))
    seconds, written = ground.scaled(2, LOAD_SECONDS), 0
    with workers.worker(ground, "worker", site.worker_command(2)), workers.beat(ground):
        began = time.monotonic()
        samples = [_sample(0.0)]
        while (now := time.monotonic() - began) < seconds:
            Order.objects.filter(pk=next(ids)).update(version=F("version") + 1)
            written += 1
            if now >= samples[-1].seconds + SAMPLE_SECONDS:
                samples.append(_sample(now))
            time.sleep(max(0.0, began + written / WRITES_PER_SECOND - time.monotonic()))
        rate = written / (time.monotonic() - began)
        ground.say(f"{rate:,.0f} writes/s for {seconds} s; now what is left")
        if not child.wait_until(lambda: outbox.backlog_rows() == 0, DRAIN_SECONDS):
            raise SystemExit(f"The worker did not keep up: {outbox.backlog_rows()} changes are left.")
        return [*samples, _sample(time.monotonic() - began)], rate


def _sample(seconds: float) -> Sample:
    with connection.cursor() as cursor:
        cursor.execute(SIZES)
        size, dead, pending, kept = cursor.fetchone()
    return Sample(seconds, size / 2**20, float(dead or 0), float(pending), float(kept) / 2**20)
