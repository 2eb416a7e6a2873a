"""The project's own PostgreSQL and Redis, for a machine that has neither.

Plain child processes on unix sockets, so that a test can kill and restart each on the same data. Their addresses follow
from the data folder alone and are known before anything runs.
"""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from project import env
from project.own_postgres import Postgres
from project.own_redis import Redis
from project.server_process import Server


class Servers:
    """The three servers of one data folder, less those that the environment names."""

    def __init__(self, folder: Path, *, without: Collection[str] = (), is_durable: bool = True) -> None:
        self.postgres = Postgres(folder, is_durable=is_durable)
        self.read_models = Redis(folder, "read-models", is_durable=True)
        self.broker = Redis(folder, "broker", is_durable=False)
        every: dict[str, Server] = {
            "DATABASE_URL": self.postgres,
            "REDIS_URL": self.read_models,
            "BROKER_URL": self.broker,
        }
        self.by_variable = {variable: server for variable, server in every.items() if variable not in without}
        self._file = env.servers_file(folder)

    @property
    def urls(self) -> dict[str, str]:
        """Environment variable to address, as settings read them."""
        return {variable: server.url for variable, server in self.by_variable.items()}

    def start(self) -> None:
        """All answer, and a second terminal finds them. Whoever calls this calls `stop`, even if it raises."""
        for server in self.by_variable.values():
            server.start()
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text("".join(f"{variable}={url}\n" for variable, url in self.urls.items()))

    def stop(self) -> None:
        """All have ended; the last started first."""
        self._file.unlink(missing_ok=True)
        for server in reversed(self.by_variable.values()):
            server.stop()
        with suppress(OSError):
            self.postgres.socket.parent.rmdir()
