"""A Redis that went back is noticed, not read, and mended; what went there and was lost is projected again."""

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from project.own_redis import Redis
from readmodels import (
    buckets,
    connection,
    consistency,
    generations,
    keys,
    models,
    outbox,
    projector,
    rebuild,
    snapshot,
    sweeping,
    testing,
)
from readmodels.errors import CannotSay, ReadModelError, StoreLost, StoreMoved, StoreUnavailable
from readmodels.query import Reader
from readmodels.store import Store
from tests import copies
from tests.reading import body
from tests.rows import add_line, add_order, add_product, add_user
from users.commands import rename_user
from users.models import User
from users.readmodels.user_profile import UserProfile

LIVE = range(outbox.SHARDS)


@pytest.fixture(scope="module")
def second_redis() -> Iterator[Redis]:
    with tempfile.TemporaryDirectory(prefix="rm-") as folder:
        server = Redis(Path(folder), "copy", is_durable=False)
        server.log.parent.mkdir()
        server.start()
        yield server
        server.kill()


@pytest.fixture
def replica(store: Store, second_redis: Redis) -> Iterator[Store]:
    """Another server, to which the test fails over; the first one is trusted again afterwards."""
    yield Store(connection.identified(second_redis.url, 5))
    testing.reset(store)


def copy(store: Store, replica: Store) -> None:
    """The other server holds what the first one holds now; from here on it falls behind."""
    copies.put(copies.taken(store._client), replica._client)


def settle(store: Store) -> None:
    """As the sweeps and workers of some seconds would."""
    for _ in range(5):
        try:
            testing.drain(store)
        except ReadModelError:
            continue
    sweeping.publish_progress(store)


def change_much(store: Store) -> None:
    """Rows that came, changed, moved and went, all of it acknowledged."""
    ada, ben = User.objects.order_by("pk")[:2]
    rename_user(user_id=ada.pk, name="Newest")
    Order.objects.filter(customer=ada).first().delete()
    Order.objects.filter(customer=ada).update(customer=ben)
    add_line(add_order(add_user()), add_product())
    testing.drain(store)
    assert outbox.backlog_rows() == 0


@pytest.fixture
def behind(store: Store, replica: Store) -> Store:
    """A server that lacks the last changes, which were acknowledged."""
    for _ in range(2):
        customer = add_user()
        for _ in range(3):
            add_line(add_order(customer), add_product())
    testing.drain(store)
    sweeping.beat(store)
    copy(store, replica)
    change_much(store)
    return replica


def test_copy_that_took_over_is_not_read_before_it_was_looked_at(behind):
    reader = Reader(behind)
    for read in (
        lambda: reader.document(UserProfile, 1),
        lambda: reader.documents(UserProfile, [1, 2]),
        lambda: reader.page(CustomerOrders, 1),
        lambda: reader.measures(CustomerOrders, [1]),
    ):
        with pytest.raises(StoreMoved):
            read()


def test_what_a_copy_lacks_is_projected_again(behind):
    markers = buckets.now().markers
    settle(behind)
    assert body(behind, UserProfile, 1)["name"] == "Newest"
    testing.assert_law(behind)
    assert buckets.now().markers == markers, "everything was built anew"


def test_what_a_copy_lacks_is_not_read_meanwhile(behind):
    sweeping.beat(behind)
    sweeping.publish_progress(behind)
    progress = consistency.parse_progress(behind.progress() or b"")
    assert {"UserProfile", "OrderDetail", "CustomerOrders"} <= set(progress.doubtful)
    with pytest.raises(StoreLost):
        Reader(behind).document(UserProfile, 1)
    settle(behind)
    assert Reader(behind).document(UserProfile, 1).body


def test_replay_goes_through_the_bulk_lane_too(store, replica, configured):
    configured(FAN_OUT_DOCUMENTS=2)
    customer = add_user()
    orders = [add_order(customer) for _ in range(5)]
    testing.drain(store)
    sweeping.beat(store)
    copy(store, replica)
    rename_user(user_id=customer.pk, name="Newest")
    settle(store)
    settle(replica)
    assert {body(replica, OrderDetail, order.pk)["customer"]["name"] for order in orders} == {"Newest"}
    assert body(replica, UserProfile, customer.pk)["name"] == "Newest"
    testing.assert_law(replica)


def test_same_server_with_older_contents_is_noticed(store):
    """As after a restore without a restart: only the count of beats tells."""
    user = add_user()
    settle(store)
    older = copies.taken(store._client)
    rename_user(user_id=user.pk, name="Newest")
    settle(store)
    copies.put(older, store._client)
    settle(store)
    assert body(store, UserProfile, user.pk)["name"] == "Newest"
    testing.assert_law(store)


def test_second_failure_does_not_hide_what_is_left_of_the_first(behind):
    sweeping.beat(behind)
    left = {change.id for change in pending()}
    sweeping.beat(behind)
    older = copies.taken(behind._client)
    rename_user(user_id=2, name="Later")
    project_others_than(left, behind)
    sweeping.beat(behind)
    copies.put(older, behind._client)
    sweeping.beat(behind)
    project_others_than(left, behind)
    sweeping.publish_progress(behind)
    with pytest.raises(StoreLost):
        Reader(behind).page(CustomerOrders, 1)
    settle(behind)
    assert body(behind, UserProfile, 2)["name"] == "Later"
    testing.assert_law(behind)


def pending() -> list[outbox.Change]:
    with snapshot.reading() as (cursor, _):
        return outbox.visible(cursor, LIVE, 1000)


def project_others_than(left: set[int], store: Store) -> None:
    ids = [change.id for change in pending() if change.id not in left]
    assert ids
    projector.project(store, LIVE, only=ids)


# Acknowledging


def test_nothing_is_written_to_a_server_that_is_not_trusted(store, replica):
    copy(store, replica)
    add_user()
    batch = projector.read(store, LIVE)
    with pytest.raises(StoreMoved):
        projector.write(replica, batch)
    assert outbox.backlog_rows() == 1


def test_what_went_to_the_server_before_is_not_acknowledged(store, replica):
    sweeping.beat(store)
    copy(store, replica)
    user = add_user()
    batch = projector.read(store, LIVE)
    projector.write(store, batch)
    sweeping.beat(replica)
    with pytest.raises(StoreMoved):
        projector.acknowledge(batch)
    settle(replica)
    assert body(replica, UserProfile, user.pk)


# Where a replay is not enough, everything is built anew


def assert_built_anew(store: Store) -> None:
    before = buckets.now().markers
    sweeping.beat(store)
    assert not set(before) & set(buckets.now().markers)
    settle(store)
    testing.assert_law(store)


def test_more_changes_than_are_replayed_build_everything_anew(behind, configured):
    configured(REPLAY_ROWS=3)
    assert_built_anew(behind)


def test_copy_older_than_what_is_kept_is_built_anew(behind):
    value = behind._client.get(keys.HEARTBEAT)
    count, version, at_ms, snapshot = value.split(b" ")
    long_ago = str(int(at_ms) - 25 * 3600 * 1000).encode()
    behind._client.set(keys.HEARTBEAT, b" ".join([count, version, long_ago, snapshot]))
    assert_built_anew(behind)


def test_lost_heartbeat_builds_everything_anew(store):
    add_order(add_user())
    settle(store)
    store._client.delete(keys.HEARTBEAT)
    assert_built_anew(store)


@pytest.mark.parametrize("value", [b"", b"nonsense", b"7", b"7 \xff 1 1:1:", b"7 1 x 1:1:"])
def test_heartbeat_that_nobody_wrote_builds_everything_anew(store, value: bytes):
    settle(store)
    store._client.set(keys.HEARTBEAT, value)
    assert_built_anew(store)


def test_evicted_documents_are_built_anew(store):
    add_order(add_user())
    settle(store)
    before = store.state().evicted_keys
    evict(store._client)
    assert store.state().evicted_keys > before
    assert_built_anew(store)


def evict(client: redis.Redis) -> None:
    """Some keys are evicted between two sweeps, which see nothing of the policy that did it."""
    client.config_set("maxmemory-policy", "allkeys-random")
    before = client.info("stats")["evicted_keys"]
    for missing in range(10_000, 200_000, 10_000):  # it frees buffers of its own first
        client.config_set("maxmemory", client.info("memory")["used_memory"] - missing)
        with suppress(redis.RedisError):
            client.set("any", "thing")
        if client.info("stats")["evicted_keys"] > before:
            break
    client.config_set("maxmemory", 0)
    client.config_set("maxmemory-policy", "noeviction")


def test_evicting_policy_is_not_trusted(store):
    user = add_user()
    settle(store)
    reader = Reader(store)
    store._client.config_set("maxmemory-policy", "allkeys-lru")
    try:
        sweeping.beat(store)
        sweeping.publish_progress(store)
        with pytest.raises(StoreUnavailable):
            reader.document(UserProfile, user.pk)
        rename_user(user_id=user.pk, name="Newest")
        settle(store)
        assert outbox.backlog_rows() == 1
    finally:
        store._client.config_set("maxmemory-policy", "noeviction")
    settle(store)
    assert body(store, UserProfile, user.pk)["name"] == "Newest"


def test_postgres_that_went_back_builds_everything_anew(store):
    add_order(add_user())
    settle(store)
    with consistency.recorded() as written:
        rename_user(user_id=1, name="Newest")
    settle(store)
    # As after a backup was restored: another start, and PostgreSQL knows of fewer beats than Redis has seen.
    same_timeline = models.Clock.objects.get().server.rpartition("/")[0]
    models.Clock.objects.update(server=f"{same_timeline}/0")
    models.Heartbeat.objects.update(beats=1)
    assert_built_anew(store)
    with pytest.raises(CannotSay):
        Reader(store).document(UserProfile, 1, token=written.token)


# Fills


def is_live(read_model: str, number: int) -> bool:
    return models.Generation.objects.filter(read_model=read_model, number=number, state="live").exists()


def another_generation_of(read_model: str) -> int:
    """The number of a generation that is to be built."""
    models.Generation.objects.filter(read_model=read_model).update(fingerprint="another")
    generations.deploy()
    return models.Generation.objects.get(read_model=read_model, state="building").number


def test_generation_that_was_being_built_is_not_switched_to(store, replica):
    add_user()
    settle(store)
    number = another_generation_of("UserProfile")
    copy(store, replica)

    def fail_over(name: str, rows: int) -> None:
        sweeping.beat(replica)

    with pytest.raises(StoreUnavailable):
        rebuild.repair(store, on_range=fail_over)
    assert not is_live("UserProfile", number)
    settle(replica)
    assert is_live("UserProfile", number)
    testing.assert_law(replica)


def test_generation_built_since_the_copy_is_built_anew(store, replica):
    add_user()
    settle(store)
    copy(store, replica)
    number = another_generation_of("UserProfile")
    settle(store)
    assert is_live("UserProfile", number)
    assert_built_anew(replica)


# What is no failure


def test_beats_alone_replay_nothing(store):
    add_order(add_user())
    settle(store)
    for _ in range(3):
        sweeping.beat(store)
    assert models.Heartbeat.objects.get().replays == []
    assert outbox.backlog_rows() == 0


def test_beat_whose_writer_died_before_noting_it_replays_nothing(store):
    add_order(add_user())
    settle(store)
    sweeping.beat(store)
    heart = models.Heartbeat.objects.get()
    models.Heartbeat.objects.update(beats=heart.beats - 1)
    sweeping.beat(store)
    assert outbox.backlog_rows() == 0
    assert models.Heartbeat.objects.get().beats == heart.beats + 1


def test_finished_replay_is_forgotten(behind):
    sweeping.beat(behind)
    assert models.Heartbeat.objects.get().replays
    settle(behind)
    sweeping.beat(behind)
    assert models.Heartbeat.objects.get().replays == []
