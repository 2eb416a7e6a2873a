"""What runs: the servers and, on top of them, the API, and workers with beat or a relay."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from project import child, env
from project.embedded import Servers

CELERY = [sys.executable, "-m", "celery", "-A", "worker"]
MANAGE = [sys.executable, str(env.ROOT / "manage.py")]
WATCH_SECONDS = 0.2
# Celery finishes the batch in hand before it stops; what is cut short is projected after the next start.
STOP_SECONDS = 10


class ChildEnded(Exception):
    """A part has ended that should not have; the text says which, how, and what its log ends with."""


@dataclass
class Site:
    """One running system: where it answers, what it was told, and its processes by name."""

    folder: Path
    base_url: str
    servers: Servers
    events_url: str = ""
    has_broker: bool = True
    children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def is_demo(self) -> bool:
        """Whether the database is the embedded one, and so nobody's production."""
        return "DATABASE_URL" in self.servers.by_variable

    @property
    def logs(self) -> Path:
        """Where each part has its log."""
        return self.folder / "logs"

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment of every process that belongs to it."""
        demo = {"DEMO": os.environ.get("DEMO", "1")} if self.is_demo else {}
        here = {"READMODELS_DATA": str(self.folder), "PYTHONUNBUFFERED": "1"}
        here |= {"EVENTS_URL": os.environ.get("EVENTS_URL") or self.events_url}
        # Nothing listens there, so that a wake fails at once; each process tries, and says so in its log, once an hour.
        nowhere = {"BROKER_URL": self.servers.broker.url, "READMODELS_BROKER_PAUSE_SECONDS": "3600"}
        return {**os.environ, **self.servers.urls, **demo, **here, **({} if self.has_broker else nowhere)}

    def check(self) -> None:
        """All parts run; raises ChildEnded otherwise."""
        servers = {server.name: server.process for server in self.servers.by_variable.values()}
        for name, process in (servers | self.children).items():
            if process is not None and process.poll() is not None:
                raise ChildEnded(f"{name} {_outcome(process.returncode)}. Its log ends:\n{self._log_tail(name)}")

    def wait(self) -> NoReturn:
        """Runs on until a signal stops it (KeyboardInterrupt) or a part ends (ChildEnded)."""
        while True:
            self.check()
            time.sleep(WATCH_SECONDS)

    def start(self, name: str, command: list[str]) -> None:
        """The part has been started."""
        log = self.logs / f"{name}.log"
        with child.uninterrupted():
            self.children[name] = child.spawn(command, log=log, environ=self.environ, folder=env.ROOT)

    def stop(self) -> None:
        """All parts on top of the servers have ended, the last started first."""
        child.stop(reversed(self.children.values()), STOP_SECONDS)

    def manage(self, name: str, *words: str, limit_seconds: float, has_log: bool = True) -> None:
        """A management command has done its work; raises ChildEnded if it, or a part of the site, failed."""
        log = self.logs / f"{name}.log" if has_log else None
        process: subprocess.Popen[bytes] | None = None

        def is_over() -> bool:
            self.check()
            return process is not None and process.poll() is not None

        try:
            with child.uninterrupted():
                process = child.spawn([*MANAGE, name, *words], log=log, environ=self.environ, folder=env.ROOT)
            child.wait_until(is_over, limit_seconds)
        finally:
            if process is not None:
                child.stop([process], STOP_SECONDS)
        if process.returncode != 0:
            raise ChildEnded(f"manage.py {name} {_outcome(process.returncode)}.\n{self._log_tail(name)}".rstrip())

    def _log_tail(self, name: str) -> str:
        return child.tail(self.logs / f"{name}.log")


def api_command(host: str, port: int, processes: int, target: str = "project.wsgi:application") -> list[str]:
    """Granian in WSGI mode, which served Django 2.5 times as fast as gunicorn here; two to four threads are enough."""
    options = [f"--host={host}", f"--port={port}", f"--workers={processes}", "--blocking-threads=4"]
    options += ["--no-access-log", "--workers-kill-timeout=5", "--respawn-failed-workers"]
    return [sys.executable, "-m", "granian", "--interface=wsgi", *options, target]


def events_command(host: str, port: int) -> list[str]:
    """Live updates: one process, whose own limits say how many streams it keeps open."""
    options = [f"--host={host}", f"--port={port}", "--workers=1", "--no-ws", "--http=1", "--loop=asyncio"]
    # Granian would let a request wait unanswered; the process itself answers that there is no room.
    options += ["--backlog=4096", "--backpressure=100000"]
    options += ["--no-access-log", "--workers-kill-timeout=5", "--respawn-failed-workers"]
    return [sys.executable, "-m", "granian", "--interface=asgi", *options, "project.asgi:application"]


def worker_command(processes: int, queues: str = "live,bulk,repair,chores") -> list[str]:
    """A Celery worker of these queues. It need not know others, and asking for them costs the start a second."""
    options = [
        f"--queues={queues}",
        f"--hostname={queues.split(',')[0]}@%h",
        f"--concurrency={processes}",
        "--loglevel=INFO",
        "--without-mingle",
        "--without-gossip",
    ]
    return [*CELERY, "worker", *options]


def beat_command(folder: Path) -> list[str]:
    """Celery's scheduler; at INFO it would write a line a second."""
    return [*CELERY, "beat", f"--schedule={folder / 'run' / 'beat'}", "--pidfile=", "--loglevel=WARNING"]


def relay_command() -> list[str]:
    """What does the work of workers and beat where there is no broker."""
    return [*MANAGE, "relay"]


def _outcome(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
