"""How reading grows: with the number of documents, and with the depth of a page.

Read in this process over one connection, as a view does, without HTTP. Who are compared take turns read by read:
whether Redis is woken on the core of who asks or on another makes a third of the time, and stays so for a while.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from time import perf_counter

from bench import shop
from bench.ground import Ground
from bench.load import WrongAnswers
from bench.result import Goal, Plot, Result, Table
from bench.rounds import Found, percentile, spreads
from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from project.own_redis import Redis
from readmodels import buckets, connection, consistency, generations, keys, snapshot
from readmodels.query import Reader, reader
from readmodels.store import Store
from readmodels.values import DocumentWrite
from users.models import User

OURS, GET, OFFSET = "ours", "GET by redis-py alone", "LIMIT and OFFSET by the ORM"
POWERS = (3, 4, 5, 6)  # of ten
DEPTHS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the way through the list
PAGE = 50
PUT_ROWS = 5_000
ROUNDS = 5
P50 = "p50 µs"
Reads = Sequence[Callable[[], object]]
NOTES = [
    "Each number of documents lies in a Redis of its own. They are copies of one real order, put there by the engine's"
    " store as a projector does, and not made from as many orders in PostgreSQL.",
    "Pages are of one customer's orders, which have no lines. By LIMIT and OFFSET: the same columns, newest first, over"
    " the indexes that the tables have.",
]


def run(ground: Ground) -> Result:
    """Documents first, then pages."""
    with ExitStack() as stack:
        found = _timed(_documents(ground, stack), ground)
    tables = [_table("One order by its id, of so many", found, who) for who in (OURS, GET)]
    paged = _paged(ground)
    tables += [_table(f"A page of {PAGE}, after so many rows", paged, who) for who in (OURS, OFFSET)]
    pages = list(tables[2].rows)
    goals = [
        Goal("the page in the middle against the first", tables[2].ratio(pages[len(pages) // 2]), at_most=1.2),
        Goal("the last page against the first", tables[2].ratio(pages[-1]), at_most=1.2),
    ]
    by_number, by_depth = (
        {OURS: _line(tables[0]), GET: _line(tables[1])},
        {OURS: _line(tables[2]), OFFSET: _line(tables[3])},
    )
    plots = [
        Plot(
            "growth_documents", "One order by its id", P50, lines=by_number, x_title="documents", is_x_logarithmic=True
        ),
        Plot("growth_pages", f"A page of {PAGE}", P50, lines=by_depth, x_title="rows before it", is_logarithmic=True),
    ]
    return Result(tables, goals, plots, NOTES)


def _documents(ground: Ground, stack: ExitStack) -> dict[str, Reads]:
    """Reads of documents chosen by chance; servers run until the stack ends."""
    shop.fill(orders=1, customers=1)
    shop.project()
    order_id, generation = Order.objects.get().pk, reader().generation(OrderDetail)
    body, reads = (reader().document(OrderDetail, order_id).body or b"").decode(), ground.scaled(50, 2_000)
    contenders: dict[str, Reads] = {}
    for count in (ground.scaled(10 ** (power - 2), 10**power) for power in POWERS):
        server = Redis(ground.folder, f"of-{count}", is_durable=False)
        stack.callback(server.stop)
        server.start()
        client = connection.identified(server.url, 10)
        ground.say(f"{count:,} documents are put")
        _put(Store(client), generation, body.replace(f": {order_id},", ": %d,", 1), count)
        numbers = [random.randrange(count) for _ in range(reads)]
        names = [keys.document("OrderDetail", generation, str(number)) for number in numbers]
        body_of = partial(_body, Reader(Store(client)))
        contenders[f"{OURS}: {count:,}"] = [partial(body_of, number) for number in numbers]
        contenders[f"{GET}: {count:,}"] = [partial(client.get, name) for name in names]
    return contenders


def _put(store: Store, generation: int, template: str, count: int) -> None:
    """The store has so many documents, and a reader trusts it."""
    store.begin_buckets(dict(enumerate(buckets.now().markers)))
    store.point(generations.pointers())
    with snapshot.reading() as (cursor, now):
        markers = buckets.read(cursor).markers
        progress = consistency.progress(cursor, now, generations.current(cursor), [])
    here = replace(now, store_id=store.state().store_id)
    for first in range(0, count, PUT_ROWS):
        numbers = range(first, min(first + PUT_ROWS, count))
        writes = [DocumentWrite("OrderDetail", generation, str(number), template % number) for number in numbers]
        store.apply(consistency.attempt(store.now_ms(), here, markers), writes)
    store.put_progress(range(keys.BUCKETS), markers, here.version, here.store_id, progress)


def _paged(ground: Ground) -> Found:
    """The same page again and again, at several depths of one list."""
    rows = ground.scaled(1_000, 100_000)
    ground.say(f"{rows:,} orders are made and projected")
    shop.fill(orders=rows, customers=1, lines=0)
    shop.project()
    user_id = User.objects.get().pk
    cursors: list[str | None] = [None]
    while following := reader().page(CustomerOrders, user_id, cursor=cursors[-1], limit=PAGE).next_cursor:
        cursors.append(following)
    depths = [round(depth * (len(cursors) - 1)) for depth in DEPTHS]
    reads, by_offset = ground.scaled(10, 2_000), ground.scaled(5, 40)
    ours: dict[str, Reads] = {f"{OURS}: {at * PAGE:,}": [partial(_rows, user_id, cursors[at])] * reads for at in depths}
    theirs: dict[str, Reads] = {
        f"{OFFSET}: {at * PAGE:,}": [partial(_by_offset, user_id, at * PAGE)] * by_offset for at in depths
    }
    # One after the other: a scan of PostgreSQL in between would leave ours the cold memory.
    return {**_timed(ours, ground), **_timed(theirs, ground)}


def _body(of: Reader, order_id: int) -> bytes | None:
    return of.document(OrderDetail, order_id).body


def _rows(user_id: int, cursor: str | None) -> list[bytes]:
    return reader().page(CustomerOrders, user_id, cursor=cursor, limit=PAGE).rows


def _by_offset(user_id: int, offset: int) -> Sequence[Mapping[str, object]]:
    orders = Order.objects.filter(customer_id=user_id).order_by("-placed_at", "-pk")
    return list(orders.values("id", "status", "placed_at", "total_cents", "currency")[offset : offset + PAGE])


def _timed(contenders: Mapping[str, Reads], ground: Ground) -> Found:
    """What each took; all have as many reads."""
    # So that all is warm, too.
    if not all(read() for reads in contenders.values() for read in reads):
        raise WrongAnswers("Nothing is there to be read.")
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for number in range(rounds := ground.scaled(1, ROUNDS)):
        took: dict[str, list[float]] = defaultdict(list)
        for reads in zip(*contenders.values(), strict=True):
            for name, read in zip(contenders, reads, strict=True):
                began = perf_counter()
                read()
                took[name].append((perf_counter() - began) * 1e6)
        for name, times in took.items():
            found[name].append({P50: percentile(times, 0.5), "p99 µs": percentile(times, 0.99)})
        ground.say(f"round {number + 1} of {rounds} of {', '.join(contenders)}")
    return spreads(found)


def _table(caption: str, found: Found, who: str) -> Table:
    rows = {name.removeprefix(f"{who}: "): row for name, row in found.items() if name.startswith(f"{who}: ")}
    return Table(f"{caption}: {who}", rows, against=next(iter(rows)), ratio_of=P50)


def _line(table: Table) -> list[tuple[float, float]]:
    return [(float(name.replace(",", "")), row[P50].median) for name, row in table.rows.items()]
