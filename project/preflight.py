"""What must hold before anything is started; each check that fails raises CannotStart with one line."""

import fcntl
import http.client
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import psycopg
import redis

from project import env
from project.child import CannotStart
from readmodels import eviction
from readmodels.errors import MayEvict, StoreUnavailable

ANSWER_SECONDS = 5


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """This process alone works on the data folder. The kernel gives the lock back, even after a kill -9."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / "lock").open("a+")
    except OSError as error:
        raise CannotStart(
            f"Data folder {folder} can't be used ({error.strerror}); choose another: READMODELS_DATA=… make run"
        ) from None
    with file:
        _lock(file, folder)
        yield


def require_free_port(host: str, port: int, variable: str = "PORT") -> None:
    """It will be possible to listen on host and port; `variable`: what `make run` takes to choose another."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        socket.create_server((host, port), family=family).close()
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).split(" (while")[0]
        other = {"PORT": 8001 if port == 8000 else 8000}.get(variable, 8010)
        raise CannotStart(
            f"Port {port} on {host} can't be used ({reason}); choose another: make run {variable}={other}"
        ) from None


def is_answering(base_url: str) -> bool:
    """Whether an HTTP server there gives an answer, whichever."""
    return _status(base_url, "/api/") is not None


def is_ready(base_url: str) -> bool:
    """Whether commands and queries are served there."""
    return _status(base_url, "/health/ready") == http.HTTPStatus.OK


def _status(base_url: str, path: str) -> int | None:
    with closing(http.client.HTTPConnection(urlsplit(base_url).netloc, timeout=ANSWER_SECONDS)) as connection:
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None


def require_answers(environ: Mapping[str, str]) -> set[str]:
    """The variables that name servers of the user's own, which all answer; the read models' Redis never evicts."""
    checks = {"DATABASE_URL": _ask_postgres, "REDIS_URL": _ask_read_models, "BROKER_URL": _ask_broker}
    named = {variable for variable in env.SERVER_VARIABLES if environ.get(variable)}
    for variable in sorted(named):
        try:
            checks[variable](environ[variable])
        except (psycopg.Error, redis.RedisError, StoreUnavailable, OSError) as error:
            reason = env.without_password(" ".join(str(error).split()))
            raise CannotStart(
                f"The server that {variable} names does not answer ({reason}); start it, "
                f"or unset {variable} to use the project's own"
            ) from None
        except MayEvict as error:
            raise CannotStart(f"{variable}: {error}") from None
    return named


def _lock(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise CannotStart(f"Already running on {folder} (pid {holder}); stop it with: kill {holder}") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()


def _ask_postgres(url: str) -> None:
    psycopg.connect(url, connect_timeout=ANSWER_SECONDS).close()


def _ask_read_models(url: str) -> None:
    with _redis(url) as client:
        eviction.demand(client)


def _ask_broker(url: str) -> None:
    with _redis(url) as client:
        client.ping()


def _redis(url: str) -> closing[redis.Redis]:
    limits = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
    return closing(redis.Redis.from_url(url, retry=None, **limits))
