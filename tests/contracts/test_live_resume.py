"""Whoever follows ends with what is stored, wherever the stream was cut and whatever was written, lost or forgotten
meanwhile: drawn by chance, on the real scripts.

Versions reach a partition out of order, as they do from several projectors.
"""

import json
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from readmodels import buckets, generations, keys, snapshot
from readmodels.looking import keep, look
from readmodels.query import Reader
from readmodels.store import Store
from readmodels.stored import Stored
from readmodels.topics import DocumentState, PartitionState, State, Topic
from readmodels.values import Attempt, DocumentWrite, RowWrite
from users.readmodels.user_profile import UserProfile

LIST = Topic(CustomerOrders, "7")
ORDER = Topic(OrderDetail, "7")
RECENT_ROWS = 2

rows = st.dictionaries(st.integers(1, 5), st.one_of(st.none(), st.integers(0, 3)), min_size=1, max_size=4)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), rows),
        st.tuples(st.just("write_late"), rows),
        st.tuples(st.just("look"), st.none()),
        st.tuples(st.just("take"), st.integers(0, 5)),
        st.tuples(st.just("come_back"), st.none()),
        st.tuples(st.just("keep"), st.none()),
        st.tuples(st.just("forget"), st.none()),
        st.tuples(st.just("restart"), st.none()),
    ),
    max_size=25,
)


@dataclass
class World:
    """What is stored, the process that looks at it, and a client with what it knows."""

    store: Store
    topic: Topic
    number: int = 100
    state: State | None = None
    last_id: str | None = None
    # The id that the open stream has come as far as; the client's own may be behind, if updates were lost on the way.
    sent_id: str | None = None
    shown: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reader = Reader(self.store)
        self.markers = buckets.now().markers
        self.store_id = self.store.state().store_id
        self.at = keys.partition("CustomerOrders", self.reader.generation(CustomerOrders), "7")
        document = keys.document("OrderDetail", self.reader.generation(OrderDetail), "7")
        self.store.ask([("DEL", self.at.rows, self.at.index, self.at.measures, self.at.tombstones, self.at.recent)])
        self.store.ask([("DEL", document)])

    def write(self, changed: dict[int, int | None], *, is_late: bool = False) -> None:
        """A late one has a version from before; it still may win over what is older."""
        self.number += 0 if is_late else 2
        version = f"000001{self.number - (1 if is_late else 0):020d}"
        writes = [self._write(key, value) for key, value in changed.items()]
        header = f"{version} 0 1:1:\n".encode()
        attempt = Attempt(self.store.now_ms(), version, header, self.store_id, self.markers)
        self.store.apply(attempt, writes)

    def _write(self, key: int, value: int | None) -> DocumentWrite | RowWrite:
        body = None if value is None else json.dumps({"id": key, "value": value})
        generation = self.reader.generation(self.topic.of)
        if self.topic is ORDER:
            return DocumentWrite("OrderDetail", generation, self.topic.key, body)
        members = () if body is None else (f"\0{key}\x01{key:019d}",)
        return RowWrite("CustomerOrders", generation, self.topic.key, f"{key:019d}", body, members)

    def look(self) -> None:
        self.state = look(self.store, self.reader, {self.topic: self.state}).get(self.topic, self.state)

    def take(self, most: int) -> None:
        """The client receives the first so many of the updates that are sent to it; what follows is under way."""
        if self.state is None:
            return
        updates = self.state.since(self.sent_id)
        for update_id, update in updates[:most]:
            self._receive(update_id, update)

    def _receive(self, update_id: str, update: bytes) -> None:
        name, data = update.split(b"\n")[0].decode(), update.split(b"data: ")[1]
        body = json.loads(data)
        if name == "event: reset":
            self.shown = self.stored()
        elif name == "event: removed":
            self.shown.pop(body["id"], None)
        else:
            self.shown[body["id"]] = body["value"]
        self.last_id = self.sent_id = update_id

    def come_back(self) -> None:
        self.sent_id = self.last_id

    def keep(self) -> None:
        keep(self.store, self.reader, [self.topic])

    def forget(self) -> None:
        """Nobody followed for long, and Redis knows no changes any more."""
        self.store.ask([("DEL", self.at.recent)])

    def restart(self) -> None:
        """The process that looks is another one."""
        self.state = None
        self.come_back()

    def stored(self) -> dict[int, int]:
        if self.topic is ORDER:
            [answer] = self.reader.documents(OrderDetail, [7])
            bodies = [answer.body] if answer.body else []
        else:
            bodies = self.reader.page(CustomerOrders, 7, limit=100).rows
        return {body["id"]: body["value"] for body in map(json.loads, bodies)}


@pytest.fixture
def few_are_known(configured):
    configured(LIVE_RECENT_ROWS=RECENT_ROWS)


def run(store: Store, topic: Topic, drawn: list) -> World:
    """The drawn steps, and then a client that comes back for the last time and takes all there is."""
    world = World(store, topic)
    world.write({7: 0})
    world.look()
    world.take(1)
    for step, value in drawn:
        if step in ("write", "write_late"):
            changed = value if topic is LIST else {7: next(iter(value.values()))}
            world.write(changed, is_late=step == "write_late")
        elif step == "take":
            world.take(value)
        else:
            getattr(world, step)()
    world.come_back()
    for _ in range(2):  # after a reset, nothing more
        world.look()
        world.take(100)
    return world


by_chance = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@by_chance
@given(drawn=steps)
def test_a_list_ends_as_stored(store, few_are_known, drawn):
    world = run(store, LIST, drawn)
    assert world.shown == world.stored()


@by_chance
@given(drawn=steps)
def test_a_document_ends_as_stored(store, few_are_known, drawn):
    world = run(store, ORDER, drawn)
    if isinstance(world.state, DocumentState) and world.state.body is not None:
        assert world.shown == world.stored()
    else:
        assert world.stored() == {}, "it is gone, and the stream says so"


def test_nothing_new_is_nothing_sent(store):
    world = World(store, LIST)
    world.write({1: 1, 2: 2})
    world.look()
    world.take(100)
    world.look()
    assert isinstance(world.state, PartitionState)
    assert world.state.since(world.last_id) == []


def test_a_row_that_was_built_again_as_it_was_is_not_sent(store):
    world = World(store, LIST)
    world.write({1: 1})
    world.look()
    world.take(100)
    world.write({1: 1})
    world.look()
    assert world.state.since(world.last_id) == []
    world.write({1: 2})
    world.look()
    assert len(world.state.since(world.last_id)) == 1


def test_a_row_that_was_mended_away_has_the_list_loaded_anew(store):
    world = World(store, LIST)
    world.write({1: 1, 2: 2})
    world.look()
    world.take(100)
    with snapshot.reading() as (cursor, _):
        generation = next(each for each in generations.current(cursor) if each.plan.name == "CustomerOrders")
    place = RowWrite("CustomerOrders", generation.number, LIST.key, f"{1:019d}")
    stored = Stored(store, generation)
    value = stored.look([place]).values[place]
    stored.forget({place: value.digest}, world.markers, world.store_id)
    stored.even_out([LIST.key], world.markers, world.store_id)
    world.look()
    world.take(100)
    assert world.shown == world.stored() == {2: 2}


def test_what_cannot_be_said_of_one_key_is_said_of_the_others(store):
    reader = Reader(store)
    lost = keys.bucket_of("UserProfile", "1")
    others = [str(number) for number in range(2, 20) if keys.bucket_of("UserProfile", str(number)) != lost]
    store.ask([("DEL", keys.progress(lost))])
    assert reader.sayable(UserProfile, ["1", *others]).keys() == set(others)
