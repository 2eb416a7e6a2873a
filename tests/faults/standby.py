"""Another PostgreSQL than the system's own: a standby that follows it, and takes its place."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
from django.db import connection

from project import child
from project.child import CannotStart
from project.own_postgres import Postgres
from tests.faults.system import HEAL_SECONDS, System

COPY_SECONDS = 60
NOWHERE = "host=/nowhere"


class Standby(Postgres):
    """A standby of the primary: it follows from its start on, and once promoted goes on by itself."""

    def __init__(self, primary: Postgres, folder: Path) -> None:
        super().__init__(folder, is_durable=primary.is_durable)
        self._primary = primary

    def follow(self, *, is_synchronous: bool) -> None:
        """It follows; a synchronous one has each commit before the writer has its answer, or anybody sees it."""
        self.start()
        assert ask(self, "SELECT pg_is_in_recovery()") is True
        if is_synchronous:
            tell(self._primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        state = "sync" if is_synchronous else "async"
        found = "SELECT sync_state FROM pg_stat_replication WHERE state = 'streaming'"
        assert child.wait_until(lambda: ask(self._primary, found) == state, HEAL_SECONDS)

    def lose_touch(self) -> None:
        """What the primary commits from now on never comes here."""
        tell(self, f"ALTER SYSTEM SET primary_conninfo = '{NOWHERE}'")
        receiver = "SELECT count(*) FROM pg_stat_wal_receiver"
        assert child.wait_until(lambda: ask(self, receiver) == 0, HEAL_SECONDS)

    def take_over(self) -> None:
        """Whoever asks for the primary, which must be gone, reaches the standby, running on as it is."""
        assert not self._primary.is_running
        self._primary.socket.unlink(missing_ok=True)
        self._primary.socket.symlink_to(self.socket)
        shutil.rmtree(self._primary.data)
        self._primary.process, self._primary.data = self.process, self.data
        connection.close()

    def promote(self) -> None:
        """It has left recovery, on a timeline of its own."""
        assert ask(self, "SELECT pg_promote()") is True

    def _initialise(self, data: Path) -> None:
        copy(self._primary, data, "--write-recovery-conf")


@contextmanager
def standby_of(system: System, *, is_synchronous: bool) -> Iterator[Standby]:
    """A standby that follows the system's PostgreSQL; it ends with the block unless it has taken over.

    However the block ends, the system has a primary that waits for nobody.
    """
    primary = system.servers.postgres
    standby = Standby(primary, new_folder(system))
    try:
        standby.follow(is_synchronous=is_synchronous)
        yield standby
    finally:
        if primary.process is not standby.process:
            with suppress(psycopg.OperationalError):
                tell(primary, "ALTER SYSTEM RESET synchronous_standby_names")
            standby.stop()
        elif ask(standby, "SELECT pg_is_in_recovery()"):
            standby.promote()


def copy(server: Postgres, data: Path, *options: str) -> None:
    """The folder holds the running server's data, as pg_basebackup takes them; it may exist if it is empty."""
    programs = server.programs
    address = ["--host", server.socket.parent, "--username", "postgres"]
    how = ["--wal-method=stream", "--checkpoint=fast", "--no-sync", *options]
    command = [programs.folder / "pg_basebackup", *address, "--pgdata", data, *how]
    log = server.log.with_name("pg_basebackup.log")
    if child.run(command, COPY_SECONDS, log=log, account=programs.account, folder=data.parent) != 0:
        raise CannotStart(f"pg_basebackup failed:\n{child.tail(log)}")


def crash(server: Postgres) -> None:
    """The machine that it ran on is gone: postmaster and back ends at once. (They outlive it by a moment else.)"""
    assert server.process
    back_ends = psutil.Process(server.process.pid).children(recursive=True)
    server.kill()
    for back_end in back_ends:
        with suppress(psutil.NoSuchProcess):
            back_end.kill()


def new_folder(system: System) -> Path:
    return Path(tempfile.mkdtemp(prefix="postgres-", dir=system.folder))


def ask(server: Postgres, sql: str) -> object:
    """The first value of the answer, None where there is none."""
    with server._connect() as connected:
        row = connected.execute(sql).fetchone()
    return row and row[0]


def tell(server: Postgres, sql: str) -> None:
    """The configuration is changed and read again."""
    with server._connect() as connected:
        connected.execute(sql)
        connected.execute("SELECT pg_reload_conf()")
