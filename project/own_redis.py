"""The project's own Redis: one server for the read models, another as the broker."""

import socket
import subprocess
from pathlib import Path
from urllib.parse import quote

from project import child
from project.binaries import find_redis
from project.server_process import Server, make_private


class Redis(Server):
    """A Redis server that never evicts. `is_durable` keeps its keys over a restart; a broker needs none of that."""

    id_file = "redis.pid"

    def __init__(self, folder: Path, name: str, *, is_durable: bool) -> None:
        super().__init__(folder, name, f"{name}.sock")
        self.is_durable = is_durable

    @property
    def url(self) -> str:
        """The address of its database 0."""
        return f"unix://{quote(str(self.socket))}?db=0"

    def prepare(self) -> None:
        """Its folder is there."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.socket.parent.exists():
            make_private(self.socket.parent)

    def spawn(self) -> subprocess.Popen[bytes]:
        """A Redis server that listens on its socket only."""
        settings: dict[str, str | Path] = {
            "port": "0",
            "unixsocket": self.socket,
            "unixsocketperm": "700",
            "dir": self.data,
            "pidfile": self.data / self.id_file,
            "maxmemory-policy": "noeviction",
            "save": "",
            "appendonly": "yes" if self.is_durable else "no",
        }
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        return child.spawn([find_redis(), *words], log=self.log, folder=self.data)

    def is_ready(self) -> bool:
        """Whether it answers and has loaded its keys."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2)
            try:
                probe.connect(str(self.socket))
                probe.sendall(b"PING\r\n")
                return probe.recv(64).startswith(b"+PONG")
            except OSError:
                return False
