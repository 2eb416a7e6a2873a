"""The process of live updates under what happens to processes: many clients, slow ones, kills, stops, a lost Redis."""

import resource
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import call_command

from orders.commands import place_order
from orders.models import Order
from project.child import wait_until
from readmodels import connection as redis_connection
from readmodels.testing import drain
from tests.api import person
from tests.live import WAIT_SECONDS, Client, LiveProcess, free_port, nobody_reads, token_of
from tests.rows import add_line, add_order, add_product
from users.commands import rename_user
from users.models import User

IDLE = 1000
# What a process without any client takes is its code; this is what may be added by the idle ones.
IDLE_MB = 100


@pytest.fixture
def start(projecting, tmp_path) -> Iterator:
    """Starts a process of live updates with these settings."""
    started = []

    def found(port=None, **environ) -> LiveProcess:
        started.append(
            LiveProcess(tmp_path, port, **{f"READMODELS_LIVE_{name}": text for name, text in environ.items()})
        )
        return started[-1]

    yield found
    for each in started:
        each.stop()


@pytest.fixture
def ada(projecting) -> User:
    add_product(sku="MUG", stock=10_000)
    return person("ada")


@pytest.fixture
def order(ada) -> Order:
    return place_order(customer_id=ada.pk, lines=[("MUG", 1)])


def known_token(process: LiveProcess, user: User, path: str) -> str:
    token = token_of(user)
    assert wait_until(lambda: process.ask(path, token, "HEAD").status_code == 200, WAIT_SECONDS)
    return token


def events_of(order: Order) -> str:
    return f"/api/orders/{order.pk}/events"


def orders_of(user: User) -> str:
    return f"/api/users/{user.pk}/orders/events"


class Idle:
    """Many clients that only take what comes, in one thread."""

    def __init__(self, process: LiveProcess, requests: list[tuple[str, str]]) -> None:
        self.selector = selectors.DefaultSelector()
        self.received = {}
        for path, token in requests:
            found = socket.create_connection(("127.0.0.1", process.port))
            found.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
            self.received[found] = b""
            self.selector.register(found, selectors.EVENT_READ)

    def is_all(self, text: bytes) -> bool:
        """Whether everybody has received this by now."""
        for key, _ in self.selector.select(0.1):
            self.received[key.fileobj] += key.fileobj.recv(65536)
        return all(text in each for each in self.received.values())

    def close(self) -> None:
        for each in self.received:
            each.close()


@pytest.fixture
def open_files() -> Iterator[None]:
    """The clients are in this process, and many a system's soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * IDLE + 500)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("open_files")
def test_a_thousand_idle_clients_are_told_of_a_change(start, ada, capsys):
    orders = [place_order(customer_id=ada.pk, lines=[("MUG", 1)]) for _ in range(50)]
    process = start(STREAMS_PER_PRINCIPAL="2000", HEARTBEAT_SECONDS="15", POLL_SECONDS="0.2", SEND_SECONDS="10")
    token = known_token(process, ada, events_of(orders[-1]))
    before_mb = process.rss_mb()
    paths = [events_of(each) for each in orders] + [orders_of(ada)] * 50
    idle = Idle(process, [(paths[number % len(paths)], token) for number in range(IDLE)])
    try:
        assert wait_until(lambda: idle.is_all(b"id: "), 60), "not everybody was let in"
        idle_mb = process.rss_mb() - before_mb
        began = time.monotonic()
        rename_user(user_id=ada.pk, name="Countess")
        add_order(ada)
        documents = {each: text for each, text in idle.received.items() if b"event: document" in text}
        lists = idle.received.keys() - documents.keys()
        assert wait_until(
            lambda: (
                idle.is_all(b"id: ")
                and all(b"Countess" in idle.received[each] for each in documents)
                and all(b"event: row" in idle.received[each] for each in lists)
            ),
            60,
        )
        with capsys.disabled():
            print(f"\n{IDLE} idle: {before_mb:.0f} MB and {idle_mb:.0f} more; told in {time.monotonic() - began:.2f} s")
        assert idle_mb < IDLE_MB
    finally:
        idle.close()


def test_nothing_is_missed_by_who_comes_back_again_and_again(start, ada, order):
    process = start()
    token = known_token(process, ada, events_of(order))
    is_over = threading.Event()
    shown: dict[int, dict] = {}
    resets = []

    def some_updates(last_id: str | None) -> Client:
        client = Client(process.url + orders_of(ada), token, last_id)
        # On a busy machine the first may take longer than the rest is waited for.
        wait_until(lambda: client.updates or is_over.is_set(), WAIT_SECONDS)
        wait_until(lambda: len(client.updates) >= 3 or is_over.is_set(), 0.3)
        client.leave()
        return client

    def come_back() -> None:
        last_id = None
        while not is_over.is_set():
            client = some_updates(last_id)
            last_id = client.last_id
            for update in client.updates:
                if update.name == "reset":
                    resets.append(update)
                elif update.name == "row":
                    shown[update.data["id"]] = update.data
                elif update.name == "removed":
                    shown.pop(update.data["id"], None)  # it may have come and gone between two looks

    thread = threading.Thread(target=come_back)
    thread.start()
    wait_until(lambda: resets, WAIT_SECONDS)
    bob = person("bob")
    for number in range(150):
        made = add_order(ada, total_cents=number)
        if number % 3 == 0:
            Order.objects.filter(pk=made.pk - number % 2).update(total_cents=1_000_000 + number)
        if number % 10 == 0:
            Order.objects.filter(pk=made.pk).update(customer=bob)
    stored = {each.pk: each.total_cents for each in Order.objects.filter(customer=ada).exclude(pk=order.pk)}
    found = wait_until(
        lambda: {key: row["total_cents"] for key, row in list(shown.items()) if key != order.pk} == stored, 60
    )
    is_over.set()
    thread.join()
    assert found
    assert len(resets) == 1


def test_a_killed_process_is_gone_on_with(start, ada, order):
    port = free_port()
    process = start(port)
    token = known_token(process, ada, events_of(order))
    clients = [process.follow(path, token) for path in (events_of(order), orders_of(ada))]
    for client in clients:
        client.wait_for(lambda update: True)
    process.process.kill()
    process.stop()
    assert all(wait_until(lambda client=client: client.is_over, WAIT_SECONDS) for client in clients)
    rename_user(user_id=ada.pk, name="Countess")
    new = add_order(ada)
    again = start(port)
    document, rows = [again.follow(client.url[len(again.url) :], token, client.last_id) for client in clients]
    assert document.wait_for(lambda update: True).data["customer"]["name"] == "Countess"
    assert rows.wait_for(lambda update: True).data["id"] == new.pk


def test_a_stop_tells_every_client_and_is_quick(start, ada, order):
    process = start()
    token = known_token(process, ada, events_of(order))
    clients = [process.follow(events_of(order), token) for _ in range(10)]
    for client in clients:
        client.wait_for(lambda update: update.name == "document")
    began = time.monotonic()
    process.stop()
    assert time.monotonic() - began < 4
    assert [client.wait_for_end() for client in clients] == ["over"] * 10


def test_a_client_that_takes_nothing_is_dropped_and_others_go_on(start, ada):
    large = add_order(ada)
    for _ in range(300):
        add_line(large, add_product(name="P" * 150))
    process = start(POLL_SECONDS="0.02")
    token = known_token(process, ada, events_of(large))
    with nobody_reads(process.url, events_of(large), token) as slow:
        assert wait_until(lambda: slow.getsockname()[1] in process.client_ports(), WAIT_SECONDS)
        client = process.follow(events_of(large), token)
        for number in range(400):
            rename_user(user_id=ada.pk, name=f"Count {number}")
            assert client.wait_for(lambda update, name=f"Count {number}": update.data["customer"]["name"] == name)
            client.updates.clear()
            if "slow_client_dropped" in process.log.read_text():
                break
        assert "slow_client_dropped" in process.log.read_text()
        assert wait_until(lambda: slow.getsockname()[1] not in process.client_ports(), WAIT_SECONDS)
        rename_user(user_id=ada.pk, name="Countess")
        assert client.wait_for(lambda update: update.data["customer"]["name"] == "Countess")


def test_so_many_streams_and_no_more(start, ada, order):
    process = start(STREAMS="5", STREAMS_PER_PRINCIPAL="3")
    token = known_token(process, ada, events_of(order))
    sam = person("sam", is_staff=True)
    sams = known_token(process, sam, events_of(order))
    clients = [process.follow(events_of(order), token) for _ in range(3)]
    for client in clients:
        client.wait_for(lambda update: update.name == "document")
    refused = process.ask(events_of(order), token)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams_of_yours")
    assert refused.headers["Retry-After"] == "10"
    more = [process.follow(events_of(order), sams) for _ in range(2)]
    for client in more:
        client.wait_for(lambda update: update.name == "document")
    refused = process.ask(events_of(order), sams)
    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_streams")
    clients[0].leave()
    assert wait_until(lambda: process.follow(events_of(order), sams).is_let_in(), WAIT_SECONDS)


def test_streams_end_by_themselves_in_time(start, ada, order):
    process = start(STREAM_SECONDS="1")
    token = known_token(process, ada, events_of(order))
    assert process.follow(events_of(order), token).wait_for_end() == "over"


def test_where_nothing_can_be_said_for_long_the_stream_ends(start, ada, order):
    process = start()
    token = known_token(process, ada, events_of(order))
    clients = [process.follow(path, token) for path in (events_of(order), orders_of(ada))]
    for client in clients:
        client.wait_for(lambda update: True)
    redis_connection.read_models().flushdb()
    assert {client.wait_for_end() for client in clients} == {"unavailable"}
    assert process.ask(events_of(order), token).status_code == 503


def test_a_redis_that_is_filled_again_is_no_change_for_documents(start, ada, order, store):
    process = start(PATIENCE_SECONDS="60")
    token = known_token(process, ada, events_of(order))
    document, rows = [process.follow(path, token) for path in (events_of(order), orders_of(ada))]
    for client in (document, rows):
        client.wait_for(lambda update: True)
    redis_connection.read_models().flushdb()
    drain(store)
    rename_user(user_id=ada.pk, name="Countess")
    assert document.wait_for(lambda update: update.data["customer"]["name"] == "Countess")
    assert wait_until(lambda: [update.name for update in rows.updates] == ["reset", "reset"], WAIT_SECONDS)
    assert all(update.name == "document" for update in document.updates)


def test_a_switch_of_generations_loses_nothing(start, ada, order, store):
    process = start()
    token = known_token(process, ada, events_of(order))
    document, rows = [process.follow(path, token) for path in (events_of(order), orders_of(ada))]
    for client in (document, rows):
        client.wait_for(lambda update: True)
    for name in ("OrderDetail", "CustomerOrders"):
        call_command("readmodels", "rebuild", name, stdout=StringIO())
    rename_user(user_id=ada.pk, name="Countess")
    assert document.wait_for(lambda update: update.data["customer"]["name"] == "Countess")
    rows.wait_for(lambda update: update.name == "reset" and update is not rows.updates[0])
    new = add_order(ada)
    assert rows.wait_for(lambda update: update.name == "row").data["id"] == new.pk


def test_many_clients_of_many_orders(start, ada):
    orders = [place_order(customer_id=ada.pk, lines=[("MUG", 1)]) for _ in range(20)]
    process = start(STREAMS_PER_PRINCIPAL="100")
    token = known_token(process, ada, events_of(orders[-1]))
    clients = [process.follow(events_of(each), token) for each in orders]
    rename_user(user_id=ada.pk, name="Countess")
    found = [client.wait_for(lambda update: update.data["customer"]["name"] == "Countess") for client in clients]
    assert [update.data["id"] for update in found] == [each.pk for each in orders]
