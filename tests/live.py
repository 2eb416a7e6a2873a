"""The process of live updates as a real one, and clients of it that read, stop reading, or only listen."""

import json
import os
import socket
import threading
from collections.abc import Callable
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from knox.models import AuthToken

from project import child, env, site
from project.child import wait_until
from users.models import User

START_SECONDS = 60
WAIT_SECONDS = 20
# Quick, so that tests need not wait for what takes seconds in earnest.
QUICK = {
    "READMODELS_LIVE_POLL_SECONDS": "0.05",
    "READMODELS_LIVE_RECHECK_SECONDS": "0.3",
    "READMODELS_LIVE_HEARTBEAT_SECONDS": "0.5",
    "READMODELS_LIVE_PATIENCE_SECONDS": "1",
    "READMODELS_LIVE_SEND_SECONDS": "1",
}


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return server.getsockname()[1]


class LiveProcess:
    """One process of live updates, on the tests' Redis and on no database."""

    def __init__(self, folder: Path, port: int | None = None, **environ: str) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"events-{self.port}.log"
        nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "PYTHONUNBUFFERED": "1"}
        self.process = child.spawn(
            site.events_command("127.0.0.1", self.port),
            log=self.log,
            environ={**os.environ, **QUICK, **nowhere, **environ},
            folder=env.ROOT,
        )
        assert wait_until(self.is_answering, START_SECONDS), self.log.read_text()

    def is_answering(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}/health/live").status_code == 200
        return False

    def ask(self, path: str, token: str | None, method: str = "GET", **headers: str) -> httpx.Response:
        """An answer that ends by itself."""
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.request(method, self.url + path, headers=headers, timeout=WAIT_SECONDS)

    def follow(self, path: str, token: str, last_id: str | None = None) -> "Client":
        return Client(self.url + path, token, last_id)

    def rss_mb(self) -> float:
        return sum(each.memory_info().rss for each in self._processes()) / 2**20

    def client_ports(self) -> set[int]:
        """The ports of all clients whose connection it holds."""
        found = [each for process in self._processes() for each in process.net_connections("tcp")]
        return {each.raddr.port for each in found if each.raddr}

    def _processes(self) -> list[psutil.Process]:
        whole = psutil.Process(self.process.pid)
        return [whole, *whole.children()]

    def stop(self) -> None:
        child.stop([self.process], 10)


@dataclass
class Update:
    name: str
    id: str | None
    data: Any


@dataclass
class Client:
    """Reads a stream in a thread until the stream ends or `leave` is called."""

    url: str
    token: str
    last_id: str | None = None
    updates: list[Update] = field(default_factory=list)
    heartbeats: int = 0
    status: int | None = None
    is_over: bool = False

    def __post_init__(self) -> None:
        self._response: httpx.Response | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "text/event-stream"}
        headers |= {"Last-Event-ID": self.last_id} if self.last_id else {}
        with (
            suppress(httpx.TransportError, httpx.StreamError, OSError),
            httpx.stream("GET", self.url, headers=headers, timeout=WAIT_SECONDS) as self._response,
        ):
            self.status = self._response.status_code
            self._parse(self._response)
        self.is_over = True

    def _parse(self, response: httpx.Response) -> None:
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            name, _, value = line.partition(":")
            if line and name:
                fields[name] = value.removeprefix(" ")
            elif line:
                self.heartbeats += 1
            elif "event" in fields:
                self.last_id = fields.get("id", self.last_id)
                self.updates.append(Update(fields["event"], fields.get("id"), json.loads(fields["data"])))
                fields = {}

    def is_let_in(self) -> bool:
        """Whether the answer is a stream; known once it has begun."""
        wait_until(lambda: self.status is not None, WAIT_SECONDS)
        return self.status == 200

    def leave(self) -> None:
        """The connection is cut, as by a network that fails."""
        wait_until(lambda: self._response is not None or self.is_over, WAIT_SECONDS)
        if self._response is not None:
            stream = self._response.extensions["network_stream"]
            with suppress(OSError):
                stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join(WAIT_SECONDS)

    def wait_for(self, is_it: Callable[[Update], Any]) -> Update:
        """The first update of which this is true."""
        assert wait_until(lambda: self._found(is_it) is not None, WAIT_SECONDS), (self.status, self.updates[-3:])
        found = self._found(is_it)
        assert found is not None
        return found

    def _found(self, is_it: Callable[[Update], Any]) -> Update | None:
        return next((update for update in list(self.updates) if is_it(update)), None)

    def wait_for_end(self) -> str:
        """The reason that the stream gave for its end, once it is over."""
        end = self.wait_for(lambda update: update.name == "end")
        assert wait_until(lambda: self.is_over, WAIT_SECONDS)
        assert self.updates[-1] is end
        return end.data["reason"]


def token_of(user: User) -> str:
    return AuthToken.objects.create(user=user)[1]


@contextmanager
def nobody_reads(url: str, path: str, token: str):
    """A client that sends its request and never reads; the kernel takes little for it."""
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as found:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        found.connect((host, int(port)))
        found.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        yield found
