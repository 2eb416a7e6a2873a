"""Everything that is said to Redis fits Redis Cluster: the keys of one command or script lie in one slot."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.exceptions import ClusterCrossSlotError

from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from project import child
from project.binaries import find_redis
from readmodels import connection, erasure, generations, keys, models, testing
from readmodels.limits import Limit
from readmodels.looking import look
from readmodels.query import Reader
from readmodels.store import SCRIPTS, Store
from readmodels.topics import Topic
from tests.rows import add_line, add_order, add_product, add_user
from users.models import User
from users.readmodels.user_profile import UserProfile

SLOTS = 16384
START_SECONDS = 20


@pytest.fixture(scope="module")
def cluster_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.Redis]:
    """A cluster of one node that owns every slot: it refuses what reaches across slots as a larger one does."""
    folder = tmp_path_factory.mktemp("cluster")
    port = free_port()
    words = f"--port {port} --bind 127.0.0.1 --save --appendonly no --cluster-enabled yes --dir {folder}"
    process = child.spawn([find_redis(), *words.split()], log=folder / "log")
    try:
        client = connection.identified(f"redis://127.0.0.1:{port}", START_SECONDS)
        assert child.wait_until(lambda: answers(client), START_SECONDS)
        client.execute_command("CLUSTER ADDSLOTS", *range(SLOTS))
        assert child.wait_until(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok", START_SECONDS)
        yield client
        client.close()
    finally:
        child.kill(process)


def free_port() -> int:
    """A free port of which the one of the cluster's own traffic, 10,000 above, is free too."""
    for port in range(20000, 45000):
        with socket.socket() as own, socket.socket() as bus:
            try:
                own.bind(("127.0.0.1", port))
                bus.bind(("127.0.0.1", port + 10000))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


@pytest.fixture
def cluster(store: Store, cluster_client: redis.Redis) -> Store:
    """The read models in the cluster, empty, on the write model of `store`."""
    cluster_client.flushall()
    cluster = Store(cluster_client)
    testing.reset(cluster)
    return cluster


def test_cluster_refuses_two_slots(cluster_client):
    with pytest.raises(ClusterCrossSlotError):
        cluster_client.mget(keys.progress(0), keys.progress(1))


def test_life_of_documents_fits_a_cluster(cluster):
    customer, other = add_user(), add_user()
    for number in range(60):
        add_line(add_order(customer, status=("placed", "paid")[number % 2]), add_product())
    testing.drain(cluster)
    Order.objects.filter(pk__lt=20).update(customer=other)
    Order.objects.filter(pk__gt=50).delete()
    User.objects.update(name="New")
    testing.drain(cluster)
    testing.assert_law(cluster)


def test_queries_fit_a_cluster(cluster):
    users = [add_user() for _ in range(5)]
    add_order(users[0])
    testing.drain(cluster)
    reader = Reader(cluster)
    ids = [user.pk for user in users]
    assert all(answer.body for answer in reader.documents(UserProfile, ids))
    assert len(reader.page(CustomerOrders, ids[0]).rows) == 1
    assert [page.measures[""]["orders"] for page in reader.measures(CustomerOrders, ids)] == [1, 0, 0, 0, 0]


def test_live_updates_fit_a_cluster(cluster):
    customers = [add_user() for _ in range(3)]
    orders = [add_order(each) for each in customers]
    testing.drain(cluster)
    topics = [Topic(CustomerOrders, str(each.pk)) for each in customers]
    topics += [Topic(OrderDetail, str(each.pk)) for each in orders]
    known = look(cluster, Reader(cluster), dict.fromkeys(topics))
    assert all(known[topic] is not None for topic in topics)
    assert look(cluster, Reader(cluster), known) == {}
    Order.objects.update(total_cents=1)
    testing.drain(cluster)
    assert look(cluster, Reader(cluster), known).keys() == set(topics)


def test_repair_fits_a_cluster(cluster, cluster_client):
    add_order(add_user())
    testing.drain(cluster)
    cluster_client.flushall()
    testing.drain(cluster)
    testing.assert_law(cluster)


def test_rebuild_and_drop_fit_a_cluster(cluster, cluster_client):
    add_order(add_user())
    testing.drain(cluster)
    before = number("OrderDetail")
    models.Generation.objects.filter(read_model="OrderDetail").update(fingerprint="another")
    assert generations.deploy() == ["OrderDetail"]
    testing.drain(cluster)
    generations.drop_retired(cluster, after_seconds=0)
    assert number("OrderDetail") > before
    assert not list(cluster_client.scan_iter(match=keys.pattern("OrderDetail", before)))


def test_erasure_fits_a_cluster(cluster, cluster_client):
    user = add_user()
    add_order(user)
    testing.drain(cluster)
    row = erasure.note(User, user.pk)
    User.objects.filter(pk=user.pk).update(email="erased@example.invalid", name="Erased")
    cluster_client.set("rm:{b007}:OrderDetail:99:1", user.email)
    assert erasure.erase(cluster, row, alone=[user.email]).is_clean
    assert not cluster_client.exists("rm:{b007}:OrderDetail:99:1")
    testing.drain(cluster)
    testing.assert_law(cluster)


def test_limits_fit_a_cluster(cluster):
    wanted = [Limit("account", "1", 1, 60), Limit("address", "192.0.2.1", 1, 60)]
    assert [cluster.take(wanted).is_taken for _ in range(2)] == [True, False]
    cluster.return_to(wanted)
    assert cluster.take(wanted).is_taken


def number(read_model: str) -> int:
    return models.Generation.objects.get(read_model=read_model, state="live").number


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.lua")), ids=lambda path: path.stem)
def test_scripts_touch_only_the_keys_they_are_given(script: Path):
    """A node of 6.2 does not notice a key made up in a script, as long as it owns the slot."""
    text = script.read_text()
    calls = re.findall(r"redis\.p?call\(\s*'(\w+)'\s*(?:,\s*([^,)]*))?", text)
    assert calls
    assert {key for command, key in calls if command != "TIME" and not is_given(key, text)} == set()


def is_given(key: str, script: str) -> bool:
    """Whether a key is one of KEYS, or all of a list of pairs that begin with one."""
    pairs = key.removeprefix("unpack(")
    put = re.escape(f"{pairs}[#{pairs} + 1] = ")
    return key.startswith("KEYS[") or re.findall(put + r"(\w+)", script) == ["KEYS", "header"]
