"""One version of the code, in a folder of its own, and its processes: several run side by side on the same servers."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from project import child, site
from tests.faults.read import Seen
from tests.faults.writers import Outcome

START_SECONDS = 120
COMMAND_SECONDS = 120
SEED = """
from tests.rows import add_order, add_product, add_user
products = [add_product(stock=1_000_000) for _ in range(5)]
users = [add_user(name="Count 0") for _ in range({count})]
print(*(add_order(user).customer_id for user in users))
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it said."""

    code: int
    text: str

    @property
    def data(self) -> Any:
        """What it said as JSON, with what the engine logged beside it left out."""
        return json.loads(next(line for line in self.text.splitlines() if line.startswith("{")))


@dataclass
class Code:
    """What runs out of one folder."""

    name: str
    folder: Path
    logs: Path
    urls: Mapping[str, str]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _lines: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    _offsets: dict[str, int] = field(default_factory=dict)

    def python(self, *words: str) -> Ended:
        """A Python process of this code has ended."""
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return Ended(done.returncode, done.stdout)

    def manage(self, *words: str) -> Ended:
        """A command of manage.py has ended."""
        return self.python("manage.py", *words)

    def readmodels(self, *commands: Sequence[str]) -> Ended:
        """Each of these commands has ended well, all in one process, or the first that did not has ended it."""
        calls = "; ".join(f"call_command('readmodels', *{list(words)!r})" for words in commands)
        return self.manage("shell", "-c", f"from django.core.management import call_command; {calls}")

    def add_customers(self, count: int) -> list[int]:
        """New users with an order each, and products to order; returns the users' ids."""
        ended = self.manage("shell", "-c", SEED.format(count=count))
        assert ended.code == 0, ended.text
        return [int(word) for word in ended.text.splitlines()[-1].split()]

    def start_worker(self) -> None:
        """A Celery worker is on its way, with a beat inside; `wait_for_worker` returns once it takes tasks."""
        schedule = self.logs / f"{self.name}-schedule"
        self._start("worker", [*site.worker_command(1), f"--hostname={self.name}@here", "--beat", f"-s{schedule}"])

    def wait_for_worker(self) -> None:
        """The worker takes tasks."""
        assert child.wait_until(lambda: " ready." in self.log("worker"), START_SECONDS), self.log("worker")

    def start_writer(self, user_ids: Sequence[int]) -> None:
        """A writer is on its way, and writes until it is ended."""
        self._start("writer", _module("write", "1", "0.05", *map(str, user_ids)))

    def start_reader(self, user_ids: Sequence[int]) -> None:
        """A reader is on its way, and reads until it is ended."""
        self._start("reader", _module("read", *map(str, user_ids)))

    def written(self) -> list[Outcome]:
        """What the writer has said so far."""
        return [Outcome(**line) for line in self._said("writer")]

    def seen(self) -> list[Seen]:
        """What the reader has said so far."""
        return [Seen(**line) for line in self._said("reader")]

    def last_seen(self, user_id: int) -> Seen:
        """What the reader has said last of this user."""
        nothing = Seen(user_id, "", 0, 0, 0)
        return next((now for now in reversed(self.seen()) if now.user_id == user_id), nothing)

    def kill(self, *names: str) -> None:
        """These processes have been killed with -9."""
        for name in names:
            child.kill(self.processes.pop(name))

    def stop(self) -> None:
        """Nothing of this code runs any more."""
        self.kill(*self.processes)

    def log(self, name: str) -> str:
        log = self._log(name)
        return log.read_text(errors="replace") if log.exists() else ""

    def _said(self, name: str) -> list[dict[str, Any]]:
        """All that a process has said in JSON lines; only what is new is read."""
        log, lines = self._log(name), self._lines.setdefault(name, [])
        if log.exists():
            new = log.read_bytes()[self._offsets.get(name, 0) :]
            new = new[: new.rfind(b"\n") + 1]
            lines += [json.loads(line) for line in new.splitlines() if line.startswith(b'{"user_id"')]
            self._offsets[name] = self._offsets.get(name, 0) + len(new)
        return lines

    def _start(self, name: str, command: Sequence[str]) -> None:
        assert name not in self.processes
        self._offsets.pop(name, None)  # each has a log of its own
        self.processes[name] = child.spawn(command, log=self._log(name), environ=self._environ, folder=self.folder)

    def _log(self, name: str) -> Path:
        return self.logs / f"{self.name}-{name}.log"

    @property
    def _environ(self) -> dict[str, str]:
        return {**os.environ, **self.urls, "READMODELS_DATA": str(self.logs), "PYTHONUNBUFFERED": "1"}


def _module(name: str, *words: str) -> list[str]:
    return [sys.executable, "-m", f"tests.faults.{name}", *words]
