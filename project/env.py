"""What the environment says, read once and checked: a wrong value stops the start with one line.

Servers not named in the environment are the embedded ones: `project/embedded.py` leaves their addresses in
`.data/run/servers.env` while they run, so that a second terminal finds them without being told.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SERVERS_FILE = ROOT / ".data" / "run" / "servers.env"
SERVER_VARIABLES = ("DATABASE_URL", "REDIS_URL", "BROKER_URL")

# Served by nobody: commands that need no server (check, makemigrations, --help) run without one.
NO_DATABASE = "postgresql://postgres@127.0.0.1:5432/readmodels"
NO_REDIS = "redis://127.0.0.1:6379/0"
NO_BROKER = "redis://127.0.0.1:6379/1"

SCHEMES = {
    "DATABASE_URL": ("postgresql://", "postgres://"),
    "REDIS_URL": ("redis://", "rediss://", "unix://"),
    "BROKER_URL": ("redis://", "rediss://", "unix://"),
}


class WrongSetting(SystemExit):
    """An environment variable has a value that can't be used; ends the process with one line and exit code 2."""

    def __init__(self, name: str, value: str, accepted: str) -> None:
        self.message = f"{name}={value!r} can't be used; accepted: {accepted}"
        super().__init__(2)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Environment:
    """The settings that differ between machines. URLs as their clients take them."""

    database_url: str
    redis_url: str
    broker_url: str
    secret_key: str
    is_debug: bool
    is_demo: bool
    allowed_hosts: list[str]


def read(environ: Mapping[str, str] = os.environ) -> Environment:
    """Read and check the environment; raises WrongSetting naming the variable, its value and what is accepted."""
    known = {**running_servers(), **environ}
    is_debug = _flag(known, "DEBUG", default=True)
    return Environment(
        database_url=_url(known, "DATABASE_URL", NO_DATABASE),
        redis_url=_url(known, "REDIS_URL", NO_REDIS),
        broker_url=_url(known, "BROKER_URL", NO_BROKER),
        secret_key=_secret(known, is_debug),
        is_debug=is_debug,
        is_demo=_flag(known, "DEMO", default=False),
        allowed_hosts=[host for host in known.get("ALLOWED_HOSTS", "").split(",") if host]
        or (["*"] if is_debug else ["127.0.0.1", "localhost"]),
    )


def running_servers() -> dict[str, str]:
    """The addresses of the embedded servers that run now; empty when none do."""
    if not SERVERS_FILE.exists():
        return {}
    lines = SERVERS_FILE.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _url(known: Mapping[str, str], name: str, default: str) -> str:
    value = known.get(name) or default
    if not value.startswith(SCHEMES[name]):
        raise WrongSetting(name, value, " or ".join(SCHEMES[name]) + "…")
    return value


def _flag(known: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = known.get(name, "")
    if value.lower() in ("", "0", "1", "true", "false"):
        return value.lower() in ("1", "true") if value else default
    raise WrongSetting(name, value, "1, true, 0 or false")


def _secret(known: Mapping[str, str], is_debug: bool) -> str:
    value = known.get("SECRET_KEY", "")
    if value:
        return value
    if is_debug:
        return "insecure-for-a-laptop-only-" + "0" * 40
    raise WrongSetting("SECRET_KEY", "", "50 random characters or more, when DEBUG=0")
