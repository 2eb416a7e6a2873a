"""Read your writes: 10,000 reads with a token, each in an interleaving of its own of slow and quick commits and of
projectors that stand between any two of their steps. None misses its own write, and none waits for what others have
not committed.
"""

import json
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from typing import Any

import psycopg
import pytest

from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from readmodels import fan_out, projector, snapshot, sweeping, testing
from readmodels.conf import conf
from readmodels.consistency import Token
from readmodels.errors import NotYet
from readmodels.outbox import Lane
from readmodels.query import Reader
from readmodels.store import Store
from tests.contracts.attempts import connect
from tests.faults.system import scaled
from tests.rows import add_order, add_user
from users.readmodels.user_profile import UserProfile

WRITERS, PROJECTORS = 6, 3
CUSTOMERS, ORDERS = 4, 10
NO_ORDER = 10**9  # a key that no transaction ever wrote

# How many reads: with everything in the live lane, with fan-outs by way of the bulk lane, and with more transactions
# pending than progress names. On two idle cores it takes some 20 s.
READS = [
    ({}, scaled(4_000, 40_000)),
    ({"fan_out_documents": 2}, scaled(2_000, 20_000)),
    ({"pending_changes": 3}, scaled(2_000, 20_000)),
    ({"pending_changes": 3, "fan_out_documents": 2}, scaled(2_000, 20_000)),
]

RETURNING = "RETURNING pg_current_xact_id()::text"
Row = tuple[str, int]  # "customer" or "order", and its id


@dataclass(frozen=True)
class Placed:
    """An order as one commit left it. A total is used once, so that what is read says which commit it shows."""

    customer_id: int
    total_cents: int


@dataclass(frozen=True)
class Committed:
    """One commit's token, and by row the place that its state has among all states of that row."""

    token: Token
    places: dict[Row, int]


class Writer:
    """A connection with or without an open transaction, and what that has written so far."""

    def __init__(self) -> None:
        self.connection = connect()
        self.states: dict[Row, Any] = {}
        self.xid = 0

    @property
    def is_open(self) -> bool:
        return self.connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE

    def write(self, row: Row, state: Any, *, is_taken_back: bool) -> None:
        """The row has this state in the open transaction, or had it within a savepoint that is gone."""
        if is_taken_back:
            self.connection.execute("SAVEPOINT one")
        self.xid = int(self.connection.execute(*statement(row, state)).fetchone()[0])
        if is_taken_back:
            self.connection.execute("ROLLBACK TO one")
        else:
            self.states[row] = state

    def end(self) -> None:
        """The transaction is rolled back if it was not committed."""
        self.connection.rollback()
        self.states = {}


def statement(row: Row, state: Any) -> tuple[str, list[Any]]:
    """What gives the row this state, and returns the transaction's id."""
    kind, key = row
    if kind == "customer":
        return f"UPDATE users_user SET name = %s WHERE id = %s {RETURNING}", [state, key]
    if state is None:
        return f"DELETE FROM orders_order WHERE id = %s {RETURNING}", [key]
    return (
        "INSERT INTO orders_order (id, customer_id, total_cents, status) VALUES (%s, %s, %s, 'paid')"
        " ON CONFLICT (id) DO UPDATE SET customer_id = EXCLUDED.customer_id, total_cents = EXCLUDED.total_cents"
        f" {RETURNING}",
        [key, state.customer_id, state.total_cents],
    )


class HeldBack(Store):
    """Keeps the progress that it is told to publish until it is let go."""

    def put_progress(self, *said: Any) -> None:
        self.said = said

    def let_go(self) -> None:
        super().put_progress(*self.said)


class World:
    """Writers and projectors, of which chance has one do one thing at a time."""

    def __init__(self, store: Store, configured: Callable[..., None], seed: int) -> None:
        self.store = store
        self.configured = configured
        self.chance = random.Random(seed)
        self.reader = Reader(store)
        self.numbers = count(1)
        self.customers = [add_user(name="0").pk for _ in range(CUSTOMERS)]
        # Every row's states in the order of their commits; a row is in one open transaction at a time.
        self.states: dict[Row, list[Any]] = {("customer", key): ["0"] for key in self.customers}
        for key in range(1, ORDERS + 1):
            placed = self.placed()
            self.states["order", key] = [placed]
            add_order(None, pk=key, status="paid", **vars(placed))
        testing.drain(store)
        with snapshot.reading() as (_, now):
            self.epoch = now.epoch
        self.writers = [Writer() for _ in range(WRITERS)]
        self.projectors = [self.projector() for _ in range(PROJECTORS)]
        self.recent: deque[Committed] = deque(maxlen=20)
        self.reads: Counter[str] = Counter()

    def placed(self) -> Placed:
        return Placed(self.chance.choice(self.customers), next(self.numbers))

    def new_state(self, row: Row, state: Any) -> Any:
        """A state that the row never had, or of an order that it is gone."""
        if row[0] == "customer":
            return str(next(self.numbers))
        return None if state and self.chance.random() < 0.3 else self.placed()

    def step(self) -> None:
        if self.chance.random() < 0.2:
            next(self.chance.choice(self.projectors))
            for committed in self.chance.sample(self.recent, min(4, len(self.recent))):
                self.look(committed)
            return
        writer = self.chance.choice(self.writers)
        if not writer.is_open or self.chance.random() < 0.3:
            self.write(writer)
        elif self.chance.random() < 0.1:
            writer.end()
        else:
            self.look(self.commit(writer))

    def write(self, writer: Writer) -> None:
        busy = {row for other in self.writers if other is not writer for row in other.states}
        row = self.chance.choice([row for row in self.states if row not in busy])
        state = writer.states.get(row, self.states[row][-1])
        writer.write(row, self.new_state(row, state), is_taken_back=self.chance.random() < 0.1)

    def commit(self, writer: Writer) -> Committed:
        writer.connection.commit()
        for row, state in writer.states.items():
            self.states[row].append(state)
        places = {row: len(self.states[row]) - 1 for row in writer.states}
        self.recent.append(Committed(Token(self.epoch, writer.xid), places))
        writer.end()
        return self.recent[-1]

    def projector(self) -> Iterator[None]:
        """Attempts without end, some killed before they acknowledge; and sweeps, which write what they read before."""
        lanes = [Lane.LIVE] if conf().fan_out_documents > ORDERS else [Lane.LIVE, Lane.BULK]
        while True:
            lane = self.chance.choice(lanes)
            self.configured(batch_rows=self.chance.choice([2, 500, 500]))
            batch = projector.read(self.store, lane.value)
            self.configured(batch_rows=500)
            yield
            projector.write(self.store, batch)
            yield
            if self.chance.random() < 0.8:
                projector.acknowledge(batch)
                yield
                fan_out.expand(batch.fan_outs, batch.snapshot.epoch)
                projector.publish_progress(self.store, batch)
                yield
            if self.chance.random() < 0.2:
                held = HeldBack()
                sweeping.publish_progress(held)
                yield
                held.let_go()
                yield

    def look(self, committed: Committed) -> None:
        """Something that the commit wrote is asked for with its token, without any wait."""
        try:
            self.require_own_write(committed)
            self.reads["answered"] += 1
        except NotYet:
            self.reads["not yet"] += 1

    def require_own_write(self, committed: Committed) -> None:
        """The answer shows the commit's state or a later one. Raises NotYet."""
        token = committed.token
        if not committed.places or self.chance.random() < 0.1:
            assert self.document(OrderDetail, NO_ORDER, token) is None
            return
        row, place = self.chance.choice(list(committed.places.items()))
        kind, key = row
        states = self.states[row][place:]
        if kind == "customer":
            self.require_name(key, states, token)
        elif self.chance.random() < 0.5:
            found = self.document(OrderDetail, key, token)
            assert (found and Placed(found["customer"]["id"], found["total_cents"])) in states
        else:
            customer_id = self.chance.choice([*self.customers, *(state.customer_id for state in states if state)])
            found = self.totals(customer_id, token).get(key)
            assert found in [state.total_cents if is_of(customer_id, state) else None for state in states]

    def require_name(self, customer_id: int, names: list[str], token: Token) -> None:
        """On the customer's profile, or on one of their orders."""
        if self.chance.random() < 0.5:
            assert self.document(UserProfile, customer_id, token)["name"] in names
            return
        found = self.document(OrderDetail, self.chance.randint(1, ORDERS), token)
        if found and found["customer"]["id"] == customer_id:
            assert found["customer"]["name"] in names

    def document(self, of: Any, key: int, token: Token) -> Any:
        body = self.reader.document(of, key, token=token, wait_seconds=0).body
        return body and json.loads(body)

    def totals(self, customer_id: int, token: Token) -> dict[int, int]:
        """By id, from the customer's page, whose measures are those of its rows."""
        page = self.reader.page(CustomerOrders, customer_id, token=token, wait_seconds=0)
        totals = {row["id"]: row["total_cents"] for row in map(json.loads, page.rows)}
        assert page.measures[""] == {"orders": len(totals), "spent_cents": sum(totals.values())}
        return totals

    def close(self) -> None:
        for writer in self.writers:
            writer.connection.close()


def is_of(customer_id: int, state: Placed | None) -> bool:
    return state is not None and state.customer_id == customer_id


@pytest.fixture
def make_world(store, configured):
    made = []

    def make(**settings: int) -> World:
        configured(**settings)
        made.append(World(store, configured, seed=20261123))
        return made[-1]

    yield make
    for world in made:
        world.close()


@pytest.mark.parametrize(("settings", "reads"), READS)
def test_no_read_with_a_token_misses_its_own_write(make_world, settings: dict[str, int], reads: int):
    world = make_world(**settings)
    while world.reads.total() < reads:
        world.step()
    assert min(world.reads["answered"], world.reads["not yet"]) > reads / 25, "too few reads say anything"


@pytest.mark.parametrize("settings", [settings for settings, _ in READS])
def test_token_waits_for_nobody_elses_open_transaction(make_world, store, settings: dict[str, int]):
    world = make_world(**settings)
    older = 0
    for _ in range(15):
        for _ in range(20):
            world.step()
        testing.drain(store)
        for committed in world.recent:
            world.require_own_write(committed)
            older += any(writer.is_open and writer.xid < committed.token.xid for writer in world.writers)
    assert older > 15, "too few transactions were open"


def test_progress_with_too_much_to_name_still_knows_what_was_running(store, configured):
    configured(pending_changes=1)
    user = add_user(name="A")
    testing.drain(store)
    slow = Writer()
    with closing(slow.connection):
        slow.write(("customer", user.pk), "B", is_taken_back=False)
        with snapshot.reading() as (_, now):
            token = Token(now.epoch, slow.xid)
        for _ in range(3):
            add_user()
        sweeping.publish_progress(store)
        slow.connection.commit()
    with pytest.raises(NotYet):
        Reader(store).document(UserProfile, user.pk, token=token, wait_seconds=0)
