"""`manage.py up` as a user meets it: a process that starts all parts, refuses with one line, and leaves nothing."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from project.child import wait_until
from project.env import ROOT, SERVER_VARIABLES
from project.preflight import is_answering
from readmodels import connection

START_SECONDS = 60
# Stopping is bounded: 10 s for the parts, 20 s for each server; a second or two in fact.
STOP_SECONDS = 60


def free_port():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


class Up:
    """One `manage.py up` on a folder of its own, with none of the tests' servers in its environment."""

    def __init__(self, folder: Path, *words: str, port: int | None = None, output: Path | None = None, **environ: str):
        self.folder = folder
        self.port = port or free_port()
        self.events_port = free_port()
        self.output = output or folder.with_name(f"{folder.name}-{self.port}.out")
        kept = {name: value for name, value in os.environ.items() if name not in (*SERVER_VARIABLES, "DEMO")}
        self.process = subprocess.Popen(
            [
                sys.executable,
                ROOT / "manage.py",
                "up",
                f"--port={self.port}",
                f"--events-port={self.events_port}",
                "--no-demo-data",
                "--processes=1",
                *words,
            ],
            env={**kept, "READMODELS_DATA": str(folder), **environ},
            stdout=self.output.open("w"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait_for_answer(self):
        wait_until(lambda: self.is_answering or self.process.poll() is not None, START_SECONDS)
        assert self.is_answering, self.output.read_text()
        return self

    @property
    def is_answering(self):
        return is_answering(f"http://127.0.0.1:{self.port}") and "Ctrl-C" in self.output.read_text()

    def status(self, path):
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            return connection.getresponse().status

    def end(self, number=signal.SIGTERM):
        """The exit code and what was printed."""
        if number:
            os.killpg(self.process.pid, number)
        return self.process.wait(STOP_SECONDS), self.output.read_text()

    def left_over(self):
        """The processes of this site, found by command line, working folder or environment."""
        return [process for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process):
        with suppress(psutil.Error):
            traces = [*process.cmdline(), process.cwd(), process.environ().get("READMODELS_DATA", "")]
            return process.pid != os.getpid() and any(str(self.folder) in trace for trace in traces)
        return False


@pytest.fixture
def up(tmp_path):
    started = []

    def start(folder="data", *words, **options):
        started.append(Up(tmp_path / folder, *words, **options))
        return started[-1]

    yield start
    for each in started:
        with suppress(ProcessLookupError):
            each.process.terminate()
        each.process.wait(STOP_SECONDS)


def refused(up):
    """The one line that a refused start prints, after exit code 2."""
    code, output = up.end(number=None)
    assert (code, output.count("\n")) == (2, 1), output
    return output


def test_ctrl_c_stops_all_and_leaves_nothing(up):
    site = up().wait_for_answer()
    assert len(site.left_over()) >= 6
    code, _ = site.end(signal.SIGINT)
    assert (code, site.left_over()) == (0, [])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such a policy")
def test_woken_parts_interrupt_nobody(up):
    site = up().wait_for_answer()
    policies = set()
    for part in site.left_over():
        with suppress(ProcessLookupError):  # PostgreSQL's autovacuum comes and goes
            if part.pid != site.process.pid:
                policies.add(os.sched_getscheduler(part.pid))
    assert policies == {os.SCHED_BATCH}


def test_without_a_broker_a_relay_projects(up):
    site = up("data", "--no-broker").wait_for_answer()
    assert wait_until(lambda: site.status("/health/ready") == 200, START_SECONDS)
    words = [word for process in site.left_over() for word in process.cmdline()]
    assert "relay" in words
    assert not {"celery", "broker"} & {Path(word).stem for word in words}
    assert (site.end()[0], site.left_over()) == (0, [])


def test_sigterm_while_starting_leaves_nothing(up):
    site = up()
    assert wait_until(lambda: "PostgreSQL" in site.output.read_text(), START_SECONDS)
    code, _ = site.end(signal.SIGTERM)
    assert (code, site.left_over()) == (0, [])


def test_kill_9_leaves_nothing_and_the_next_start_works(up):
    site = up().wait_for_answer()
    site.end(signal.SIGKILL)
    assert wait_until(lambda: not site.left_over(), 20), site.left_over()
    again = up().wait_for_answer()
    assert again.status("/health/ready") == 200, "it said that it is ready before it served queries"
    assert again.end()[0] == 0


def test_a_part_that_ends_is_named_and_stops_the_rest(up):
    site = up().wait_for_answer()
    beat = next(process for process in site.left_over() if "beat" in process.cmdline())
    beat.kill()
    code, output = site.end(number=None)
    assert (code, site.left_over()) == (1, [])
    assert "beat was ended by SIGKILL" in output


def test_a_second_start_is_refused(up):
    first = up().wait_for_answer()
    assert f"Already running on {first.folder} (pid {first.process.pid})" in refused(up())


def test_a_port_in_use_is_named(up):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        site = up(port=port)
        assert f"Port {port}" in refused(site)
    assert not (site.folder / "postgres").exists()


def test_the_port_of_live_updates_in_use_is_named(up):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        output = refused(up("data", f"--events-port={port}"))
    assert f"Port {port}" in output
    assert "EVENTS_PORT=" in output


def test_the_api_leads_to_the_live_updates(up):
    site = up().wait_for_answer()
    api, events = [f"http://127.0.0.1:{port}" for port in (site.port, site.events_port)]
    account = {"email": "ada@example.com", "password": "horse-staple-battery"}
    user_id = httpx.post(f"{api}/api/users", json={"name": "Ada", **account}).raise_for_status().json()["id"]
    token = httpx.post(f"{api}/api/auth/login", json=account).raise_for_status().json()["token"]
    path, headers = f"/api/users/{user_id}/orders/events", {"Authorization": f"Bearer {token}"}
    assert wait_until(lambda: httpx.get(api + path, headers=headers).status_code == 307, START_SECONDS)
    assert httpx.get(api + path, headers=headers).headers["Location"] == events + path
    with httpx.stream("GET", events + path, headers=headers) as response:
        assert next(line for line in response.iter_lines() if line.startswith("event:")) == "event: reset"
        assert (site.end()[0], site.left_over()) == (0, [])


def test_a_data_folder_that_can_not_be_is_named(up, tmp_path):
    (tmp_path / "file").touch()
    assert "Data folder" in refused(up("file/data", output=tmp_path / "out"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DATABASE_URL", "postgresql://postgres:geheim@127.0.0.1:{closed}/readmodels"),
        ("REDIS_URL", "redis://127.0.0.1:{closed}/0"),
        ("BROKER_URL", "unix:///nowhere/redis.sock?db=0"),
        ("DATABASE_URL", "postgresql://postgres:geheim@host:port/readmodels"),
        ("DATABASE_URL", "mysql://root@localhost/readmodels"),
        ("REDIS_URL", "redis://localhost:6379/first"),
    ],
)
def test_a_server_that_can_not_be_used_is_named(up, variable, value):
    output = refused(up(**{variable: value.format(closed=free_port())}))
    assert variable in output
    assert "geheim" not in output


def test_one_redis_database_can_not_be_both(up):
    assert "BROKER_URL" in refused(up(REDIS_URL="redis://localhost:6379/0", BROKER_URL="redis://127.0.0.1"))


def test_a_redis_that_may_evict_is_refused(up, servers):
    connection.read_models().config_set("maxmemory-policy", "allkeys-lru")
    try:
        output = refused(up(REDIS_URL=servers.urls["REDIS_URL"]))
    finally:
        connection.read_models().config_set("maxmemory-policy", "noeviction")
    assert output.startswith("REDIS_URL: ")
    assert "allkeys-lru" in output
    assert "redis-cli CONFIG SET maxmemory-policy noeviction" in output
