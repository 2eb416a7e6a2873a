"""The export of orders from a real API process: its memory, a reader that stalls, and what fails half-way."""

import http.client
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest
from django.db import connection
from knox.models import AuthToken

from project import child, env, site
from readmodels import connection as redis_connection
from readmodels import testing
from readmodels.store import Store
from tests.api import person
from tests.servers import FOLDER

HOST = "127.0.0.1"
FEW, MANY = 3_000, 30_000
MIB = 2**20
# Of 30,000 orders, 9 MB, one is too much to be held; measured here was less than 1.
GROWTH_BYTES = 4 * MIB
START_SECONDS = 60
WAIT_SECONDS = 30


class Api:
    """One API process of one worker, as `manage.py up` runs it."""

    def __init__(self, port: int, process: psutil.Process) -> None:
        self.port = port
        self.process = process
        self.headers: dict[str, str] = {}

    def get(self, path: str, **options: int) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        asking = http.client.HTTPConnection(HOST, self.port, timeout=WAIT_SECONDS)
        asking.sock = socket.socket()
        if "buffer_bytes" in options:
            asking.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["buffer_bytes"])
        asking.sock.settimeout(WAIT_SECONDS)
        asking.sock.connect((HOST, self.port))
        asking.request("GET", path, headers=self.headers)
        return asking, asking.getresponse()

    def status(self, path: str) -> int:
        asking, response = self.get(path)
        response.read(1)
        asking.close()
        return response.status

    def memory_bytes(self) -> int:
        return sum(each.memory_info().rss for each in self.process.children(recursive=True))

    def export(self, query: str = "") -> tuple[int, int]:
        """(lines, the most memory seen) of a whole export."""
        asking, response = self.get(f"/api/orders/export{query}")
        assert response.status == 200, response.read()
        lines, peak = 0, 0
        while part := response.read(64 * 1024):
            lines += part.count(b"\n")
            peak = max(peak, self.memory_bytes())
        asking.close()
        return lines, peak


@pytest.fixture
def api(store: Store, servers) -> Iterator[Api]:
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    name = connection.settings_dict["NAME"]
    addresses = {**servers.urls, "DATABASE_URL": servers.postgres.url.replace("@/readmodels?", f"@/{name}?")}
    environ = {**os.environ, **addresses, "ALLOWED_HOSTS": HOST}
    log = FOLDER / "logs" / "export-api.log"
    process = child.spawn(site.api_command(HOST, port, 1), log=log, environ=environ, folder=env.ROOT)
    try:
        found = Api(port, psutil.Process(process.pid))
        assert child.wait_until(lambda: answers(found), START_SECONDS), log.read_text()
        sign_in(store, found)
        yield found
    finally:
        child.stop([process], 10)


def answers(api: Api) -> bool:
    try:
        return api.status("/health/live") == 200
    except OSError:
        return False


def sign_in(store: Store, api: Api) -> None:
    _, token = AuthToken.objects.create(user=person("sam", is_staff=True))
    api.headers = {"Authorization": f"Bearer {token}"}
    testing.drain(store)


def place(store: Store, count: int) -> None:
    """So many guests' orders are on file, one a minute, and projected."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_order (status, placed_at) SELECT 'placed',"
            " '2024-05-01T00:00Z'::timestamptz + n * interval '1 minute' FROM generate_series(1, %s) n",
            [count],
        )
    testing.drain(store)


def test_memory_stays_flat_however_many_orders_there_are(api, store):
    place(store, FEW)
    api.export()  # whatever is loaded once is loaded
    lines, before = api.export()
    assert lines == FEW
    place(store, MANY - FEW)
    for query in ("?format=ndjson", "?format=csv"):
        lines, after = api.export(query)
        assert lines in (MANY, MANY + 1)
        assert after - before < GROWTH_BYTES, f"{(after - before) / MIB:.1f} MiB more"


def test_reader_that_stalls_holds_up_the_reading_and_nobody_else(api, store):
    place(store, MANY)
    api.export()
    before = api.memory_bytes()
    asking, response = api.get("/api/orders/export", buffer_bytes=4096)
    response.read(1000)
    assert child.wait_until(lambda: is_still(commands), WAIT_SECONDS)
    assert api.memory_bytes() - before < GROWTH_BYTES
    # Others are answered, but for a second export; and that as soon as the reader has gone.
    assert api.status("/api/orders/1") == 200
    assert api.status("/api/orders/export") == 503
    response.close()
    asking.close()
    assert child.wait_until(lambda: api.status("/api/orders/export") == 200, WAIT_SECONDS)


def test_what_fails_half_way_is_broken_off(api, store):
    place(store, MANY)
    asking, response = api.get("/api/orders/export", buffer_bytes=4096)
    begun = response.read(1000)
    assert child.wait_until(lambda: is_still(commands), WAIT_SECONDS)
    with losing_buckets(), pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    assert begun.startswith(b'{"id" : 1,')
    asking.close()
    # The process lives on, and the next export is whole.
    assert api.export()[0] == MANY


def commands() -> int:
    """Scripts and reads that Redis has run."""
    found = redis_connection.read_models().info("commandstats")
    return sum(found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "mget"))


def is_still(count: Callable[[], int]) -> bool:
    """Nothing was counted for a while."""
    before = count()
    return not child.wait_until(lambda: count() != before, 1)


@contextmanager
def losing_buckets() -> Iterator[None]:
    """All progress is gone from the buckets, as while they are filled anew; afterwards it is there again."""
    client = redis_connection.read_models()
    kept = {key: client.get(key) for key in client.scan_iter(match="rm:{b???}:progress")}
    client.delete(*kept)
    yield
    client.mset(kept)
