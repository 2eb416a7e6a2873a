"""The users of deploy/redis/users.acl on a real Redis: each process can do its work, and nothing else."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import redis
from django.db import connection as database

from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from project import child, env, site
from project.binaries import find_redis
from readmodels import connection, testing, wake
from readmodels.errors import ReadModelError
from readmodels.limits import Limit
from readmodels.looking import look
from readmodels.query import Reader
from readmodels.store import Store
from readmodels.topics import Topic
from tests.browser.conftest import free_port
from tests.rows import add_line, add_order, add_product, add_user
from users.readmodels.user_profile import UserProfile

START_SECONDS = 60
USERS = env.ROOT / "deploy/redis/users.acl"
PLACE = "#SHA256-OF-ITS-PASSWORD"

Url = Callable[..., str]


def password_of(user: str) -> str:
    return f"{user}-horse-staple"


def with_passwords(text: str) -> str:
    lines = [
        line.replace(PLACE, "#" + hashlib.sha256(password_of(line.split()[1]).encode()).hexdigest())
        for line in text.splitlines()
    ]
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory) -> Iterator[Url]:
    """The address of a Redis that knows these users only, for one of them."""
    folder, port = tmp_path_factory.mktemp("acl"), free_port()
    users = folder / "users.acl"
    users.write_text(with_passwords(USERS.read_text()))
    words = f"--port {port} --bind 127.0.0.1 --save --appendonly no --dir {folder} --aclfile {users}"
    process = child.spawn([find_redis(), *words.split()], log=folder / "log")

    def of(user: str, database: int = 0) -> str:
        return f"redis://{user}:{password_of(user)}@127.0.0.1:{port}/{database}"

    try:
        assert child.wait_until(lambda: answers(of("projector")), START_SECONDS), (folder / "log").read_text()
        yield of
    finally:
        child.kill(process)


def answers(address: str) -> bool:
    try:
        return bool(redis.Redis.from_url(address).ping())
    except redis.RedisError:
        return False


def client(url: Url, user: str) -> redis.Redis:
    return connection.identified(url(user), 10)


@pytest.fixture
def projector(store, url) -> Store:
    """The read models in this Redis, as the projector's user begins them."""
    projector = Store(client(url, "projector"))
    testing.reset(projector)
    return projector


def test_projector_projects_and_the_api_answers_from_it(projector, url):
    customer = add_user()
    add_line(add_order(customer, status="paid"), add_product())
    testing.drain(projector)
    testing.assert_law(projector)
    reader = Reader(Store(client(url, "api")))
    assert reader.document(OrderDetail, 1).body
    assert [len(page.rows) for page in (reader.page(CustomerOrders, customer.pk),)] == [1]
    assert reader.documents(UserProfile, [customer.pk])[0].body
    assert reader.measures(CustomerOrders, [customer.pk])[0].measures[""]["orders"] == 1


@pytest.mark.parametrize(
    "command",
    [
        "SET rm:{b000}:OrderDetail:1:1 x",
        "DEL rm:{b000}:epoch",
        "EXPIRE rm:{b000}:epoch 1",
        "HSET rm:{b000}:pointers OrderDetail 9",
        "GETDEL rm:{b000}:epoch",
        "GETEX rm:{b000}:epoch EX 1",
        "COPY rm:{b000}:epoch rm:{b000}:other",
        "SORT rm:{b000}:epoch STORE rm:{b000}:other",
        "RESTORE rm:{b000}:other 0 x",
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET maxmemory-policy",
        "CONFIG SET maxmemory-policy allkeys-lru",
        "KEYS *",
        "SCAN 0",
        "ACL LIST",
        "SCRIPT FLUSH",
        "DEBUG SLEEP 0",
        "SHUTDOWN",
        "REPLICAOF NO ONE",
        "CLIENT LIST",
        "MONITOR",
        "GET rl:{limits}:queries-per-address:x",
        "SET rl:{limits}:queries-per-address:x 1",
        "GET readmodels:wake",
        "PUBLISH any x",
    ],
)
def test_api_reads_documents_and_does_nothing_else(url, command):
    with pytest.raises(redis.exceptions.NoPermissionError):
        client(url, "api").execute_command(*command.split())


def test_live_updates_follow_what_changes_and_write_no_document(projector, url):
    customer = add_user()
    testing.drain(projector)
    store = Store(client(url, "events"))
    topic = Topic(CustomerOrders, str(customer.pk))
    first = look(store, Reader(store), {topic: None})
    add_order(customer)
    testing.drain(projector)
    assert look(store, Reader(store), {topic: None}) != first
    for command in ("SET rm:{b000}:epoch 9", "DEL rm:{b000}:epoch", "HSET rm:{b000}:pointers OrderDetail 9", "SCAN 0"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client(url, "events").execute_command(*command.split())


def test_no_script_lets_the_api_write(projector, url):
    with pytest.raises(ReadModelError, match="can't run this command"):
        Store(client(url, "api")).raise_epoch(99)
    with pytest.raises(ReadModelError, match="can't run this command"):
        Store(client(url, "api")).put_heartbeat(projector.state().heartbeat, b"x")
    assert projector.epoch() < 99


@pytest.mark.parametrize(
    "command", ["FLUSHALL", "FLUSHDB", "CONFIG GET save", "KEYS *", "ACL LIST", "SHUTDOWN", "GET rl:x", "SET x 1"]
)
def test_projector_writes_documents_and_nothing_else(url, command):
    with pytest.raises(redis.exceptions.NoPermissionError):
        client(url, "projector").execute_command(*command.split())


@pytest.mark.parametrize("command", ["GET rm:{b000}:epoch", "SET rm:{b000}:epoch 9", "FLUSHDB", "SCAN 0", "SET x 1"])
def test_limits_know_no_document(url, command):
    with pytest.raises(redis.exceptions.NoPermissionError):
        client(url, "limits").execute_command(*command.split())


def test_limits_are_kept_by_a_user_of_their_own(url, configured):
    configured(LIMITS_URL=url("limits"))
    connection._limits.cache_clear()
    try:
        store, wanted = Store(connection.limits()), [Limit("any", "x", 1, 60)]
        assert [store.take(wanted).is_taken for _ in range(2)] == [True, False]
        store.return_to(wanted)
        store.remember("known", "x", 60)
        assert store.is_remembered("known", "x")
    finally:
        connection._limits.cache_clear()


@pytest.mark.parametrize("user", ["wake", "worker"])
def test_broker_users_know_no_document(url, user):
    for command in ("GET rm:{b000}:epoch", "FLUSHDB", "KEYS *", "CONFIG GET save"):
        with pytest.raises(redis.exceptions.NoPermissionError):
            client(url, user).execute_command(*command.split())


def test_user_that_wakes_calls_the_one_that_waits(url, monkeypatch):
    waiting, writing = client(url, "worker"), client(url, "wake")
    is_main = threading.main_thread
    monkeypatch.setattr(connection, "broker", lambda: writing if threading.current_thread() is is_main() else waiting)
    with ThreadPoolExecutor(1) as pool:
        called = pool.submit(wake.is_called, time.monotonic() + 10)
        assert child.wait_until(lambda: waiting.exists(wake.WAITING) or called.done(), 5)
        wake.send()
        assert called.result(5)


def test_nobody_comes_in_without_a_name(url):
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis.from_url(url("api").replace(f"api:{password_of('api')}@", "")).ping()


def test_file_as_it_is_lets_no_redis_start(tmp_path):
    """Its passwords have to be filled in: none that everybody knows may be left in by mistake."""
    words = f"--port 0 --dir {tmp_path} --aclfile {USERS}"
    assert child.run([find_redis(), *words.split()], 20, log=tmp_path / "log") == 1


def test_processes_do_their_work_as_these_users(projector, url, servers, tmp_path):
    """API, worker, beat and relay: what is written is shown, and nobody was refused anything."""
    port, broker = free_port(), {"BROKER_URL": url("worker", 1)}
    reading = {"REDIS_URL": url("api"), "LIMITS_URL": url("limits"), "BROKER_URL": url("wake", 1)}
    commands = {
        "worker": (site.worker_command(1), broker),
        "beat": (site.beat_command(tmp_path), broker),
        "api": (site.api_command("127.0.0.1", port, 1), reading),
        "relay": (site.relay_command(), broker),
    }
    (tmp_path / "run").mkdir()
    name = database.settings_dict["NAME"]
    shared = {"DATABASE_URL": servers.postgres.url.replace("/readmodels?", f"/{name}?"), "REDIS_URL": url("projector")}
    processes, logs = {}, {name: tmp_path / f"{name}.log" for name in commands}

    def start(*names: str) -> None:
        for each in names:
            command, own = commands[each]
            environ = {**os.environ, **shared, **own}
            processes[each] = child.spawn(command, log=logs[each], environ=environ, folder=env.ROOT)

    try:
        start("api", "worker", "beat")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=START_SECONDS) as api:
            assert child.wait_until(lambda: is_ready(api), START_SECONDS), read(logs)
            assert name_read_back(api, "ada@example.com") == "Ada", read(logs)
            child.stop([processes.pop("beat"), processes.pop("worker")], 20)
            start("relay")
            assert name_read_back(api, "eve@example.com") == "Ada", read(logs)
        for words in ("status", "rebuild UserProfile", "verify", "why UserProfile 1"):
            command = [*site.MANAGE, "readmodels", *words.split()]
            log = logs.setdefault(words, tmp_path / f"{words}.log")
            assert child.run(command, START_SECONDS, log=log, environ={**os.environ, **shared}, folder=env.ROOT) == 0
    finally:
        child.stop(processes.values(), 20)
    assert "ready." in logs["worker"].read_text()
    told = read({each: logs[each] for each in commands})
    assert not [secret for secret in ("horse-staple", "ada@example.com", "eve@example.com") if secret in told]
    refused = ("permission", "noperm", "can't run this", "wake_failed", "limits_not_kept", "Traceback")
    assert not [line for line in read(logs).splitlines() if any(word in line for word in refused)]


def is_ready(api: httpx.Client) -> bool:
    try:
        return api.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def name_read_back(api: httpx.Client, email: str) -> str:
    """Registered, logged in and read back, which takes every right that the API needs."""
    secret = "horse-staple-battery"
    made = api.post("/api/users", json={"email": email, "name": "Ada", "password": secret}).raise_for_status()
    # A relay that starts looks at everything first; so long log-ins are refused for a moment.
    assert child.wait_until(lambda: log_in(api, email, secret).status_code == 200, START_SECONDS)
    token = log_in(api, email, secret).raise_for_status().json()["token"]
    return (
        api.get(made.headers["Location"], headers={"Authorization": f"Bearer {token}"})
        .raise_for_status()
        .json()["name"]
    )


def log_in(api: httpx.Client, email: str, password: str) -> httpx.Response:
    return api.post("/api/auth/login", json={"email": email, "password": password})


def read(logs: dict[str, Path]) -> str:
    return "\n".join(path.read_text() for path in logs.values() if path.exists())
