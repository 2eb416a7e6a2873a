"""What the environment says, read once and checked: a wrong value stops the start with one line.

Servers not named in the environment are the embedded ones: `project/embedded.py` leaves their addresses in
`.data/run/servers.env` while they run, so that a second terminal finds them without being told.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parent.parent
SERVER_VARIABLES = ("DATABASE_URL", "REDIS_URL", "BROKER_URL")
# The engine's own numbers, checked by it: READMODELS_LEASE_SECONDS=5 sets lease_seconds of readmodels/conf.py.
PREFIX = "READMODELS_"
# Variables of this prefix that are something else: the data folder, and readmodels/faults.py.
NOT_NUMBERS = ("READMODELS_DATA", "READMODELS_FAULT")

# The most that one import of orders over HTTP may be; a million orders take hours to be made.
IMPORT_BYTES = 256 * 2**20
IMPORT_LINES = 1_000_000

# Served by nobody: commands that need no server (check, makemigrations, --help) run without one.
NO_DATABASE = "postgresql://postgres@127.0.0.1:5432/readmodels"
NO_REDIS = "redis://127.0.0.1:6379/0"
NO_BROKER = "redis://127.0.0.1:6379/1"

POSTGRES_FORM = "postgresql://user:password@host:5432/database"
REDIS_FORM = "redis://host:6379/0, rediss://host:6379/0 or unix:///path/to.sock?db=0"


# How often, in how many seconds. Tests, demo and imports by API stay below these by far; a client gone wild does not.
LIMITS = {
    "QUERIES_PER_ACCOUNT": "1200/60",
    "QUERIES_PER_ADDRESS": "6000/60",
    "COMMANDS_PER_ACCOUNT": "300/60",
    "COMMANDS_PER_ADDRESS": "1500/60",
    # People mistype a few times; at 40 guesses an hour the 10,000 commonest passwords take ten days, of one address.
    "FAILED_LOG_INS_PER_PAIR": "10/900",
    # From anywhere; with many addresses an attacker gets this far. It does not bind where the owner has been before.
    "FAILED_LOG_INS_PER_ACCOUNT": "100/3600",
    # Behind one address may be an office; those who get in are not counted.
    "FAILED_LOG_INS_PER_ADDRESS": "100/900",
}
PROXY_HEADERS = ("X-Forwarded-For", "Forwarded")
LEAST_SECRET, LEAST_CHARACTERS = 50, 5  # as Django's own check has it
LONGEST_LIMIT_SECONDS = 86_400
YEAR_SECONDS = 31_536_000

Network = IPv4Network | IPv6Network
Rate = tuple[int, int]


class TLS(StrEnum):
    """Who ends TLS: this process, a proxy of ours, or nobody (a private network, a laptop)."""

    HERE = "1"
    PROXY = "proxy"
    OFF = "off"


class Shortcut(StrEnum):
    """Where queries of one document are answered without REST framework."""

    FRONT = "front"
    DJANGO = "django"
    OFF = "off"


class WrongSetting(SystemExit):
    """An environment variable has a value that can't be used; ends the process with exit code 2.

    Its line is on standard error from the moment it is made: Django, Celery and granian let it end them in silence.
    """

    def __init__(self, name: str, value: str, accepted: str) -> None:
        self.message = f"{name}={without_password(value)!r} can't be used; accepted: {accepted}"
        sys.stderr.write(self.message + "\n")
        super().__init__(2)

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Environment:
    """The settings that differ between machines. URLs as their clients take them."""

    database_url: str
    prepares_statements: bool
    redis_url: str
    broker_url: str
    secret_key: str
    is_debug: bool
    is_demo: bool
    allowed_hosts: list[str]
    tls: TLS
    hsts_seconds: int
    trusted_proxies: tuple[Network, ...]
    proxy_header: str
    limits: dict[str, Rate | None]
    limits_url: str
    shortcut: Shortcut
    import_max_bytes: int
    import_max_lines: int
    numbers: dict[str, int | float]
    events_url: str = ""


def read(environ: Mapping[str, str] = os.environ) -> Environment:
    """Read and check the environment; raises WrongSetting naming the variable, its value and what is accepted."""
    known = {**running_servers(data_folder(environ)), **environ}
    is_debug = _flag(known, "DEBUG", default=True)
    redis_url = _redis_url(known, "REDIS_URL", NO_REDIS)
    broker_url = _redis_url(known, "BROKER_URL", NO_BROKER)
    both_given = known.get("REDIS_URL") and known.get("BROKER_URL")
    if both_given and _redis_place(redis_url) == _redis_place(broker_url):
        raise WrongSetting("BROKER_URL", broker_url, "another server or database than REDIS_URL's")
    secret_key, allowed_hosts = _secret(known, is_debug), _hosts(known, is_debug)
    tls, trusted_proxies = _tls(known, is_debug), _networks(known, "TRUSTED_PROXIES")
    if tls is TLS.PROXY and not trusted_proxies:
        raise WrongSetting("TRUSTED_PROXIES", "", "the networks of the proxies, such as 10.0.0.0/8, where TLS=proxy")
    return Environment(
        database_url=_database_url(known),
        prepares_statements=_flag(known, "PREPARED_STATEMENTS", default=True),
        redis_url=redis_url,
        broker_url=broker_url,
        secret_key=secret_key,
        is_debug=is_debug,
        is_demo=_flag(known, "DEMO", default=False),
        allowed_hosts=allowed_hosts,
        tls=tls,
        hsts_seconds=_seconds(known, "HSTS_SECONDS", YEAR_SECONDS),
        trusted_proxies=trusted_proxies,
        proxy_header=_one_of(known, "PROXY_HEADER", PROXY_HEADERS),
        limits={name.lower().replace("_", "-"): _rate(known, name, rate) for name, rate in LIMITS.items()},
        limits_url=_redis_url(known, "LIMITS_URL", redis_url),
        shortcut=Shortcut(_one_of(known, "SHORTCUT", list(Shortcut))),
        import_max_bytes=_whole(known, "IMPORT_MAX_BYTES", IMPORT_BYTES),
        import_max_lines=_whole(known, "IMPORT_MAX_LINES", IMPORT_LINES),
        numbers=_numbers(known),
        events_url=_events_url(known),
    )


def data_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the embedded servers keep their data, logs and addresses."""
    return Path(environ.get("READMODELS_DATA") or ROOT / ".data").resolve()


def servers_file(folder: Path) -> Path:
    """Where a data folder's servers leave their addresses while they run."""
    return folder / "run" / "servers.env"


def running_servers(folder: Path) -> dict[str, str]:
    """The addresses of the embedded servers that run now; empty when none do."""
    file = servers_file(folder)
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def without_password(text: str) -> str:
    """The text with the passwords of its URLs starred out, to be shown or logged."""
    return re.sub(r"(://[^\s/:@]*):[^\s@]*@", r"\1:***@", text)


def _database_url(known: Mapping[str, str]) -> str:
    value = known.get("DATABASE_URL") or NO_DATABASE
    try:
        parts = conninfo_to_dict(value) if value.startswith(("postgresql://", "postgres://")) else {}
    except psycopg.ProgrammingError:
        parts = {}
    ports = str(parts.get("port", "5432")).split(",")
    if not parts.get("dbname") or not all(port.isdigit() for port in ports):
        raise WrongSetting("DATABASE_URL", value, POSTGRES_FORM)
    return value


def _redis_url(known: Mapping[str, str], name: str, default: str) -> str:
    value = known.get(name) or default
    if _redis_place(value) is None:
        raise WrongSetting(name, value, REDIS_FORM)
    return value


def _redis_place(url: str) -> tuple[str, int, int] | None:
    """Host or socket path, port and database number that a Redis URL names; None when it names none."""
    try:
        parts = urlsplit(url)
        in_query = parse_qs(parts.query).get("db", [""])[0]
        if parts.scheme == "unix" and parts.path:
            return (parts.path, 0, int(in_query or 0))
        if parts.scheme in ("redis", "rediss") and parts.hostname:
            host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
            return (host, parts.port or 6379, int(in_query or parts.path.strip("/") or 0))
    except ValueError:
        pass
    return None


def _events_url(known: Mapping[str, str]) -> str:
    value = known.get("EVENTS_URL", "")
    if value and not re.fullmatch(r"https?://[^\s/?#]+/?", value):
        raise WrongSetting("EVENTS_URL", value, "http://host:port or https://host")
    return value


def _flag(known: Mapping[str, str], name: str, *, default: bool) -> bool:
    value = known.get(name, "")
    if value.lower() in ("", "0", "1", "true", "false"):
        return value.lower() in ("1", "true") if value else default
    raise WrongSetting(name, value, "1, true, 0 or false")


def _whole(known: Mapping[str, str], name: str, default: int) -> int:
    value = known.get(name) or str(default)
    if not (value.isascii() and value.isdecimal() and 0 < int(value) < 2**31):
        raise WrongSetting(name, value, f"a whole number above 0 and below {2**31}")
    return int(value)


def _numbers(known: Mapping[str, str]) -> dict[str, int | float]:
    given = {name: value for name, value in known.items() if name.startswith(PREFIX) and name not in NOT_NUMBERS}
    return {name.removeprefix(PREFIX): _number(name, value) for name, value in given.items()}


def _number(name: str, value: str) -> int | float:
    try:
        return int(value) if value.isdecimal() else float(value)
    except ValueError:
        raise WrongSetting(name, value, "a number above 0") from None


def _secret(known: Mapping[str, str], is_debug: bool) -> str:
    value = known.get("SECRET_KEY", "")
    if is_debug:
        return value or "insecure-for-a-laptop-only-" + "0" * 40
    is_insecure = value.startswith(("insecure-", "django-insecure-")) or len(set(value)) < LEAST_CHARACTERS
    if len(value) < LEAST_SECRET or is_insecure:
        shown = f"{len(value)} characters" if value else ""
        raise WrongSetting("SECRET_KEY", shown, "50 random characters or more, when DEBUG=0")
    return value


def _hosts(known: Mapping[str, str], is_debug: bool) -> list[str]:
    value = known.get("ALLOWED_HOSTS", "")
    hosts = [host.strip() for host in value.split(",") if host.strip()]
    if not is_debug and (not hosts or "*" in hosts):
        raise WrongSetting("ALLOWED_HOSTS", value, "the host names that clients use, with commas between, when DEBUG=0")
    return hosts or ["*"]


def _tls(known: Mapping[str, str], is_debug: bool) -> TLS:
    value = known.get("TLS", "") or (TLS.OFF if is_debug else "")
    if value.lower() not in set(TLS):
        raise WrongSetting("TLS", value, "1 (ended here), proxy (ended by one of TRUSTED_PROXIES) or off")
    return TLS(value.lower())


def _networks(known: Mapping[str, str], name: str) -> tuple[Network, ...]:
    value = known.get(name, "")
    try:
        return tuple(ip_network(each.strip()) for each in value.split(",") if each.strip())
    except ValueError:
        raise WrongSetting(name, value, "networks such as 10.0.0.0/8, with commas between") from None


def _one_of(known: Mapping[str, str], name: str, accepted: Sequence[str]) -> str:
    value = known.get(name, "") or accepted[0]
    if value not in accepted:
        raise WrongSetting(name, value, " or ".join(accepted))
    return value


def _seconds(known: Mapping[str, str], name: str, default: int) -> int:
    value = known.get(name, "")
    if value and not re.fullmatch(r"[0-9]{1,9}", value):
        raise WrongSetting(name, value, "whole seconds")
    return int(value) if value else default


def _rate(known: Mapping[str, str], name: str, default: str) -> Rate | None:
    """(how often, in how many seconds); None: no limit."""
    value = known.get(name, "") or default
    if value in ("0", "none"):
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,9})/([1-9][0-9]{0,4})", value)
    if not found or int(found[2]) > LONGEST_LIMIT_SECONDS:
        raise WrongSetting(name, value, f"how often in how many seconds, such as {default}; 0 or none for no limit")
    return int(found[1]), int(found[2])
