"""An import of orders over the real API and by real workers: taken in with flat memory, finished by whoever is left."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psutil
import pytest
from django.db import connection
from knox.models import AuthToken

from orders.batch.models import ImportJob, ImportPart, JobState
from orders.models import Order, Product
from project import child, site
from project.preflight import is_answering
from readmodels import outbox
from tests.faults.system import HEAL_SECONDS, START_SECONDS, System, scaled
from tests.rows import add_product, add_user

LINE = (
    json.dumps({"is_guest": True, "lines": [{"sku": "NONE", "quantity": 1}], "external_ref": "x" * 30}).encode() + b"\n"
)
BLOCK = LINE * 1000
BLOCKS = scaled(500, 2500)  # 52 and 260 MB
# What a body of 50 MB may cost, at most, above what the process had; a block of 64 KiB and a part, in fact.
FLAT_BYTES = 10 * 2**20
ORDERS = scaled(600, 6000)
KILLS = scaled(3, 30)
IMPORT_SECONDS = scaled(180, 900)


@pytest.fixture
def api(system: System) -> Iterator[int]:
    """The API runs in one process; its port."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    limits = {"IMPORT_MAX_BYTES": str(2**29), "IMPORT_MAX_LINES": "10000000", "DEBUG": "1"}
    system._start("api", site.api_command("127.0.0.1", port, 1), limits)
    assert child.wait_until(lambda: is_answering(f"http://127.0.0.1:{port}"), START_SECONDS), system.log("api")
    yield port
    system.kill("api")


@pytest.fixture
def headers(system: System) -> dict[str, str]:
    """Of a request by staff."""
    _, token = AuthToken.objects.create(user=add_user(is_staff=True, is_support=True))
    return {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}


@contextmanager
def nobody_works(system: System) -> Iterator[None]:
    """No worker runs until the block ends."""
    system.kill("worker")
    yield
    system.start_worker()


def test_long_body_is_taken_in_with_flat_memory(system: System, api: int, headers: dict[str, str]):
    [process] = psutil.Process(system.processes["api"].pid).children()
    with nobody_works(system):
        assert send(api, headers, iter([LINE]), len(LINE)) == 202  # all code is loaded
        before = peak_bytes(process)
        assert send(api, headers, (BLOCK for _ in range(BLOCKS)), len(BLOCK) * BLOCKS) == 202
        assert peak_bytes(process) - before < FLAT_BYTES
        job = ImportJob.objects.order_by("pk").last()
        assert (job.bytes, job.lines) == (len(BLOCK) * BLOCKS, 1000 * BLOCKS)
        assert sum(len(part.data) for part in ImportPart.objects.filter(job=job).iterator(100)) == job.bytes
        ImportJob.objects.all().delete()


def test_upload_that_is_cut_off_leaves_nothing(system: System, api: int, headers: dict[str, str]):
    jobs = ImportJob.objects.count()
    with closing(socket.create_connection(("127.0.0.1", api))) as upload:
        told = {"Host": "localhost", "Content-Length": str(10 * len(BLOCK)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        upload.sendall(f"POST /api/orders/import HTTP/1.1\r\n{head}\r\n".encode() + BLOCK * 3)
    assert child.wait_until(lambda: "/api/orders/import" in system.log("api"), HEAL_SECONDS), "it was not noticed"
    assert "Bad Request: /api/orders/import" in system.log("api")
    assert "Traceback" not in system.log("api")
    assert (ImportJob.objects.count(), ImportPart.objects.count()) == (jobs, 0)


def test_import_goes_on_where_a_killed_worker_left_it(system: System, api: int, headers: dict[str, str]):
    product = add_product(stock=10 * ORDERS)
    wanted = {"is_guest": True, "lines": [{"sku": product.sku, "quantity": 2}]}
    lines = [json.dumps(wanted) if number % 10 else "{" for number in range(ORDERS)]
    before = Order.objects.count()
    content = "\n".join(lines).encode()
    assert send(api, headers, iter([content]), len(content)) == 202
    job = ImportJob.objects.order_by("pk").last()
    killed = 0
    while killed < KILLS and not is_over(job):
        share = (killed + 1) / (KILLS + 1)
        assert child.wait_until(
            lambda share=share: is_over(job) or (is_at(job, share) and is_amid_a_chunk()), IMPORT_SECONDS
        ), system.state()
        if not is_over(job):
            for process in system.pool():
                process.kill()
            killed += 1
    assert killed, "it was over before anything was killed"
    assert child.wait_until(lambda: is_over(job), IMPORT_SECONDS), system.state()
    assert (job.state, job.lines_read) == (JobState.DONE, ORDERS)
    assert (job.orders_made, job.orders_rejected) == (ORDERS - ORDERS // 10, ORDERS // 10)
    assert Order.objects.count() - before == job.orders_made
    assert Product.objects.get(pk=product.pk).stock == 10 * ORDERS - 2 * job.orders_made
    assert not ImportPart.objects.filter(job=job).exists()
    assert child.wait_until(lambda: outbox.backlog_rows() == 0, HEAL_SECONDS)
    assert system.is_settled_within(HEAL_SECONDS)


def send(port: int, headers: dict[str, str], blocks: Iterator[bytes], length: int) -> int:
    """The status of the answer to a body that comes in blocks."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as client:
        client.request("POST", "/api/orders/import", blocks, {**headers, "Content-Length": str(length)})
        return client.getresponse().status


def peak_bytes(process: psutil.Process) -> int:
    """The most memory that the process has ever had."""
    with open(f"/proc/{process.pid}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def is_at(job: ImportJob, share: float) -> bool:
    job.refresh_from_db()
    return job.lines_read >= share * job.lines


def is_amid_a_chunk() -> bool:
    """Whether some order of a chunk has been made, and perhaps not the next."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND state <> 'idle' AND query LIKE '%INSERT INTO \"orders_orderline\"%')"
        )
        return bool(cursor.fetchone()[0])


def is_over(job: ImportJob) -> bool:
    job.refresh_from_db()
    return job.state not in (JobState.WAITING, JobState.RUNNING)
