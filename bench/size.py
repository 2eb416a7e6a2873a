"""What it takes: memory of Redis for each document, and PostgreSQL's outbox under sustained load.

Memory is what the server's `used_memory` grew by: keys, headers, markers and progress of all buckets included.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import astuple
from functools import partial

import redis

from bench import outbox_load, shop
from bench.ground import Ground
from bench.outbox_load import Sample
from bench.result import Goal, Plot, Result, Table
from bench.rounds import Found, Measure, Spread, in_turn, spread
from orders.models import Order
from readmodels import buckets, building, connection, consistency, generations, snapshot, sweeping
from readmodels.building import Write
from readmodels.store import Store

OURS, BARE = "ours: OrderDetail", "the bare JSON, by SET of order:ID"
BYTES, JSON = "bytes each", "of which JSON"
# Orders of other sizes are the real ones with lines left out or repeated.
LINES = (1, 2, shop.LINES, 10, 20)
PUT_ROWS = 500


def run(ground: Ground) -> Result:
    """First Redis alone, then all of it at work."""
    orders = ground.scaled(200, 20_000)
    shop.fill(orders=orders, customers=orders // 20)
    shop.project()
    documents, rows = _memory(ground)
    shop.project()
    samples, rate = outbox_load.watched(ground)
    table = Table(f"Memory of one order of {shop.LINES} lines", documents[shop.LINES], against=BARE, ratio_of=BYTES)
    by_lines = {f"{lines} lines": _beside(found) for lines, found in documents.items()}
    tables = [
        table,
        Table("Memory of orders of other sizes", by_lines),
        Table("Memory of one row of a list, with its index entries and its share of the measures", rows),
        Table(f"The outbox, at {rate:,.0f} writes/s", _states(samples)),
    ]
    goals = [
        Goal("memory of a document against the bare JSON", table.ratio(OURS), at_most=1.3),
        # What grew with the writes would double; vacuums come once a minute, and not at the same moment of each run.
        Goal(
            "the outbox's greatest size, second half of the time against the first", _levelling(samples), at_most=1.25
        ),
    ]
    line = [(each.seconds, each.mib) for each in samples]
    plot = Plot("size_outbox", f"The outbox at {rate:,.0f} writes/s", "MiB", lines={"ours": line}, x_title="seconds")
    return Result(tables, goals, [plot], [_allocator(), KEPT])


KEPT = (
    "Beside the outbox, acknowledged changes are kept for a day, for a Redis that goes back: their tables grow with"
    " each write for so long, and are then emptied one after the other."
)


def _allocator() -> str:
    found = connection.read_models().info()
    return (
        f"Memory of Redis {found['redis_version']}, allocator {found['mem_allocator']}; another rounds sizes otherwise,"
        " and moves the ratio by a few percent."
    )


def _memory(ground: Ground) -> tuple[dict[int, Found], Found]:
    """(memory of documents by their lines, memory of rows)."""
    store, client = Store(), connection.read_models()
    # A rewrite of its file would count as memory while it lasts.
    client.config_set("auto-aof-rewrite-percentage", 0)
    put, set_all = partial(_put, store), partial(_set, client)
    rounds, orders, rows = ground.scaled(1, 3), _built("OrderDetail"), _built("CustomerOrders")
    documents: dict[int, Found] = {}
    for lines in LINES:
        writes = orders if lines == shop.LINES else [_of_lines(order, lines) for order in orders]
        contenders = {OURS: _taken(client, put, writes), BARE: _taken(client, set_all, writes)}
        documents[lines] = in_turn(contenders, rounds if lines == shop.LINES else 1, ground.say)
    return documents, in_turn({"ours: CustomerOrders": _taken(client, put, rows)}, rounds, ground.say)


def _built(read_model: str) -> list[Write]:
    """All that the read model has, as a rebuild would write it."""
    with snapshot.reading() as (cursor, _):
        [found] = [each for each in generations.current(cursor) if each.plan.name == read_model]
        roots = building.roots_between(cursor, found.plan, None, None, Order.objects.count())
        return building.root_builds(cursor, found, roots)


def _of_lines(order: Write, lines: int) -> Write:
    body = json.loads(order.body or "")
    body["lines"] = (body["lines"] * lines)[:lines]
    return order._replace(body=json.dumps(body))


def _taken(client: redis.Redis, put: Callable[[Sequence[Write]], None], writes: Sequence[Write]) -> Measure:
    def measure() -> dict[str, float]:
        client.flushall()
        before = _used_bytes(client)
        put(writes)
        taken, bodies = _used_bytes(client) - before, sum(len((each.body or "").encode()) for each in writes)
        return {BYTES: taken / len(writes), JSON: bodies / len(writes)}

    return measure


def _used_bytes(client: redis.Redis) -> int:
    # What was sent and answered lies in buffers of the connections.
    client.connection_pool.disconnect()
    return int(client.info("memory")["used_memory"])


def _put(store: Store, writes: Sequence[Write]) -> None:
    with snapshot.reading() as (cursor, now):
        markers = buckets.read(cursor).markers
    store.begin_buckets(dict(enumerate(markers)))
    for first in range(0, len(writes), PUT_ROWS):
        store.apply(consistency.attempt(store.now_ms(), now, markers), writes[first : first + PUT_ROWS])
    sweeping.publish_progress(store)


def _set(client: redis.Redis, writes: Sequence[Write]) -> None:
    for first in range(0, len(writes), PUT_ROWS):
        pipeline = client.pipeline(transaction=False)
        for number, write in enumerate(writes[first : first + PUT_ROWS], first + 1):
            pipeline.set(f"order:{number}", write.body or "")
        pipeline.execute()


def _beside(found: Found) -> dict[str, Spread]:
    ours, bare = found[OURS][BYTES], found[BARE][BYTES]
    return {"ratio": spread([ours.median / bare.median]), "ours": ours, "bare": bare, JSON: found[BARE][JSON]}


def _states(samples: Sequence[Sample]) -> dict[str, dict[str, Spread]]:
    at_most = Sample(*(max(values) for values in zip(*map(astuple, samples), strict=True)))
    states = {"at the start": samples[0], "at the most": at_most, "at the end": samples[-1]}
    return {name: {unit: spread([value]) for unit, value in _quantities(each).items()} for name, each in states.items()}


def _quantities(sample: Sample) -> dict[str, float]:
    return {
        "MiB": sample.mib,
        "dead rows": sample.dead_rows,
        "pending changes": sample.pending_rows,
        "acknowledged changes, MiB": sample.kept_mib,
    }


def _levelling(samples: Sequence[Sample]) -> float:
    half = samples[-1].seconds / 2
    greatest = [max(each.mib for each in samples if (each.seconds > half) == is_late) for is_late in (False, True)]
    return greatest[1] / greatest[0]
