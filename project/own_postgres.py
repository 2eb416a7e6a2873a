"""The project's own PostgreSQL."""

import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import psycopg

from project import child
from project.binaries import PostgresPrograms, find_postgres
from project.child import CannotStart
from project.server_process import Server, make_private

DATABASE = "readmodels"
INITDB_SECONDS = 60
# Order of code points, upper and lower case of all of Unicode, the same on every machine.
LOCALE = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
LOCALE_BEFORE_17 = ["--locale=C.UTF-8"]
# 256 MB of buffers hold the demo's tables; prepared transactions are for the tests of two-phase commits.
POSTGRES_SETTINGS = {
    "max_connections": "100",
    "shared_buffers": "256MB",
    "max_prepared_transactions": "20",
    "wal_level": "replica",
}


class Postgres(Server):
    """PostgreSQL with a database named `readmodels`; `is_durable=False` skips fsync, for tests."""

    # Fast shutdown: sessions are ended, a checkpoint is written.
    stop_signal = signal.SIGINT
    id_file = "postmaster.pid"
    # Back ends outlive a killed postmaster by a moment.
    not_yet = ('lock file "postmaster.pid" already exists', "is still in use")

    def __init__(self, folder: Path, *, is_durable: bool = True) -> None:
        super().__init__(folder, "postgres", ".s.PGSQL.5432")
        self.is_durable = is_durable
        self._programs: PostgresPrograms | None = None

    @property
    def programs(self) -> PostgresPrograms:
        """Looked up at the first use, so that addresses can be asked for where no PostgreSQL is installed."""
        self._programs = self._programs or find_postgres()
        return self._programs

    @property
    def url(self) -> str:
        """The address of the database."""
        return f"postgresql://postgres@/{DATABASE}?host={quote(str(self.socket.parent), safe='')}"

    def start(self) -> None:
        """PostgreSQL answers and has its database when this returns."""
        super().start()
        with self._connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def prepare(self) -> None:
        """The data folder holds a database cluster: all of it, as it is made elsewhere and then renamed."""
        make_private(self.socket.parent, self.programs.account)
        if self.data.exists():
            return
        unfinished = self.data.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        make_private(unfinished, self.programs.account)
        self._initialise(unfinished)
        unfinished.rename(self.data)

    def spawn(self) -> subprocess.Popen[bytes]:
        """A postmaster that listens on its socket only."""
        settings = POSTGRES_SETTINGS | {"fsync": "on" if self.is_durable else "off"}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return child.spawn(
            [self.programs.folder / "postgres", "-D", self.data, "-h", "", "-k", self.socket.parent, *words],
            log=self.log,
            stop_signal=self.stop_signal,
            account=self.programs.account,
            folder=self.data,
        )

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        with suppress(psycopg.OperationalError), self._connect():
            return True
        return False

    def _connect(self) -> psycopg.Connection:
        folder = str(self.socket.parent)
        return psycopg.connect(host=folder, user="postgres", dbname="postgres", connect_timeout=5, autocommit=True)

    def _initialise(self, data: Path) -> None:
        locale = LOCALE if self.programs.version >= 17 else LOCALE_BEFORE_17
        log = self.log.with_name("initdb.log")
        code = child.run(
            [self.programs.folder / "initdb", "-D", data, "-U", "postgres", "--auth=trust", "--encoding=UTF8", *locale],
            INITDB_SECONDS,
            log=log,
            account=self.programs.account,
            folder=data,
        )
        if code != 0:
            raise CannotStart(f"PostgreSQL can't make its data folder {data}:\n{child.tail(log)}")
