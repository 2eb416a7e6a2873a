"""The whole system as real processes on the tests' servers: workers, beat and writers, to be killed at will."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from django.db import DatabaseError, InterfaceError, connection

from project import child, env, site
from project.embedded import Servers
from readmodels import connection as redis_connection
from readmodels import deadletters, outbox, rebuild, testing
from readmodels.errors import ReadModelError
from readmodels.query import Reader
from readmodels.store import Store
from tests.faults.watcher import Watcher
from tests.faults.writers import Outcome
from tests.rows import add_order, add_product, add_user
from users.commands import rename_user
from users.models import User
from users.readmodels.user_profile import UserProfile

START_SECONDS = 60
# A sweep each second; the lease of a killed projector runs out after one.
LAG_SECONDS = 3.0
# One write, on a machine that is busy with the tests themselves.
QUICK_SECONDS = 10.0
# Everything that a fault has left behind is projected, and what it lost is built again, within this.
HEAL_SECONDS = 30.0
KILLED = "exited with 'signal 9 (SIGKILL)'"


def scaled(short: int, soak: int) -> int:
    """How often or how many: the first number, or with SOAK=1 (`make soak`) the second."""
    return soak if os.environ.get("SOAK") == "1" else short


@dataclass
class System:
    """One system that all tests of this folder put under one fault after the other."""

    servers: Servers
    store: Store
    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    # From the end of one test that found no fault to the beginning of the next.
    is_sound: bool = False
    # Of processes that were started again since: a start puts the log of before away, and the one before that is gone.
    put_away: list[str] = field(default_factory=list)
    # What the tests before this one are to be blamed for.
    told_before: set[str] = field(default_factory=set)

    # Its parts

    def start_worker(
        self, name: str = "worker", processes: int = 2, queues: str = "live,bulk,repair,chores", **environ: str
    ) -> None:
        """A Celery worker takes tasks of these queues when this returns."""
        command = [*site.worker_command(processes, queues), f"--hostname={name}@here"]
        self._start(name, command, environ)
        assert child.wait_until(lambda: " ready." in self.log(name), START_SECONDS), self.log(name)

    def start_beat(self, **environ: str) -> None:
        """Sweeps are due each second."""
        self._start("beat", site.beat_command(self.folder), environ)

    def start_relay(self, **environ: str) -> None:
        """A relay projects, sweeps and repairs."""
        self._start("relay", site.relay_command(), environ)
        assert child.wait_until(lambda: "relay_started" in self.log("relay"), START_SECONDS), self.log("relay")

    def start_rebuild(self, read_model: str, **environ: str) -> None:
        """`readmodels rebuild` is at work, or will be; it ends by itself."""
        self._start("rebuild", [*site.MANAGE, "readmodels", "rebuild", read_model], environ)

    def start_writer(self, user_ids: Sequence[int], seed: int, **environ: str) -> None:
        """A writer is at work in a process of its own."""
        words = [str(seed), "0.01", *(str(user_id) for user_id in user_ids)]
        self._start("writer", [sys.executable, "-m", "tests.faults.write", *words], environ)

    def written(self) -> list[Outcome]:
        """What the writer process has said so far."""
        lines = [line for line in self.log("writer").splitlines(keepends=True) if line.startswith('{"user_id"')]
        return [Outcome(**json.loads(line)) for line in lines if line.endswith("\n")]

    def restart(self, **environ: str) -> None:
        """Worker and beat run with this environment."""
        self.kill("worker")
        self.kill("beat")
        self.start_worker(**environ)
        self.start_beat(**environ)

    def kill(self, name: str) -> None:
        """The process and its children have been killed with -9."""
        child.kill(self.processes.pop(name))

    def pool(self, name: str = "worker") -> list[psutil.Process]:
        """The processes of a worker in which tasks run."""
        return psutil.Process(self.processes[name].pid).children()

    def log(self, name: str) -> str:
        log = self._log(name)
        return log.read_text(errors="replace") if log.exists() else ""

    def stop(self) -> None:
        """All processes have ended; the servers run on."""
        child.stop(self.processes.values(), 10)
        self.processes.clear()

    def _start(self, name: str, command: list[str], environ: dict[str, str]) -> None:
        assert name not in self.processes
        addresses = {**self.servers.urls, "DATABASE_URL": self.database_url()}
        here = {"READMODELS_DATA": str(self.folder), "PYTHONUNBUFFERED": "1"}
        environ = {**os.environ, **addresses, **here, **environ}
        self.put_away += drift_lines(self.log(name))
        self.processes[name] = child.spawn(command, log=self._log(name), environ=environ, folder=env.ROOT)

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"fault-{name}.log"

    def database_url(self, port: int | None = None) -> str:
        """The test database's address; with a port, that of a proxy in front of it."""
        name = connection.settings_dict["NAME"]
        if port:
            return f"postgresql://postgres@127.0.0.1:{port}/{name}"
        return self.servers.postgres.url.replace("@/readmodels?", f"@/{name}?")

    # Its state

    @contextmanager
    def reading(self, store: Store) -> Iterator[None]:
        """Until the block ends, this is where the read models are looked at."""
        before, self.store = self.store, store
        try:
            yield
        finally:
            self.store = before

    def make_well(self) -> None:
        """All parts run and have nothing left to do; what a failed test left behind is thrown away."""
        for server in self.servers.by_variable.values():
            server.start()
        for name in self.processes.keys() - {"worker", "beat"}:
            self.kill(name)
        if not self._is_well():
            self.stop()
            connection.close()
            redis_connection.broker().flushdb()
            testing.reset(self.store)
            for _ in range(5):
                add_product(stock=1_000_000)
            self.start_worker()
            self.start_beat()
        self.is_sound = False
        self.told_before |= self.drift()

    def _is_well(self) -> bool:
        return self.is_sound and self.is_settled_within(HEAL_SECONDS) and child.wait_until(self.is_quick, HEAL_SECONDS)

    def add_customers(self, count: int) -> list[int]:
        """New users with an order each, projected; returns their ids."""
        users = [add_user(name="Count 0") for _ in range(count)]
        for user in users:
            add_order(user)
        assert self.is_settled_within(HEAL_SECONDS)
        return [user.pk for user in users]

    def is_settled_within(self, seconds: float) -> bool:
        return child.wait_until(self.is_settled, seconds)

    def is_settled(self) -> bool:
        """Nothing is pending, nothing lost, the epoch is the server's."""
        return _without_fault(lambda: outbox.backlog_rows() == 0 and not rebuild.is_due(self.store))

    def is_quick(self) -> bool:
        """A write is in its document within the lag that is promised."""
        return _without_fault(self._is_quick)

    def _is_quick(self) -> bool:
        user = User.objects.get(pk=add_user().pk)
        rename_user(user_id=user.pk, name="Quick")
        reader = Reader(self.store)
        return child.wait_until(
            lambda: _without_fault(lambda: b'"Quick"' in (reader.document(UserProfile, user.pk).body or b"")),
            QUICK_SECONDS,
        )

    def assert_heals(self) -> None:
        """Writes are quickly in their documents again."""
        assert child.wait_until(self.is_quick, HEAL_SECONDS), self.state()

    def assert_converged(self, watcher: Watcher) -> None:
        """C: all is projected within a bound, equals a fresh build, and no reader ever saw a document go backwards."""
        assert self.is_settled_within(HEAL_SECONDS), f"{outbox.backlog_rows()} changes are left\n{self.state()}"
        assert self.is_quick(), f"a write took more than {QUICK_SECONDS} s\n{self.state()}"
        assert self.is_settled_within(HEAL_SECONDS)
        testing.assert_law(self.store)
        self.assert_no_drift()
        assert not deadletters.listed(), "a sound document was parked"
        assert not watcher.wrong, watcher.wrong[:5]
        assert watcher.answers, "the watcher saw nothing"
        self.is_sound = True

    def assert_no_drift(self) -> None:
        """The scrub, and each rebuild, mends what differs from a fresh build; it would hide a fault of the engine."""
        assert not (found := self.drift() - self.told_before), "\n".join(sorted(found))

    def drift(self) -> set[str]:
        """What any process has told of drift so far, those that were killed included."""
        logs = (self.folder / "logs").glob("fault-*.log")
        return {*self.put_away, *(line for log in logs for line in drift_lines(log.read_text(errors="replace")))}

    def state(self) -> str:
        """For a test that failed: who runs, what waits in the broker and in the outbox, the last of the logs."""
        lines = [f"{name}: exit code {process.poll()}" for name, process in self.processes.items()]
        for name in self.processes.keys() & {"worker"}:
            pool = [(process.pid, process.status()) for process in self.pool(name) if process.is_running()]
            lines.append(f"pool of {name}: {pool}")
        broker = redis_connection.broker()
        lines.append(f"broker: { {key: broker.llen(key) for key in ('live', 'bulk', 'repair', 'chores')} }")
        lines += [f"change {row}" for row in _changes()]
        lines += [f"--- {name}\n{child.tail(self._log(name), 30)}" for name in self.processes]
        return "\n".join(lines)


def drift_lines(log: str) -> list[str]:
    """The lines of a log that tell of drift."""
    return [line for line in log.splitlines() if "event='drift'" in line]


def _changes() -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id, source, key, shard, attempts, clock_timestamp() - at, not_before - clock_timestamp()"
            " FROM readmodels_change ORDER BY id LIMIT 10"
        )
        return cursor.fetchall()


def _without_fault(is_true: Callable[[], bool]) -> bool:
    """Whether it is true; what can't be asked just now is not."""
    try:
        return is_true()
    except (DatabaseError, InterfaceError):
        connection.close()
    except ReadModelError:
        pass
    return False
