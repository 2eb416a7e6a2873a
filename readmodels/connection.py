"""The clients of Redis, one for the read models and one for the broker: neither waits for ever, and what goes wrong
comes in the engine's own terms.

Each connection to the read models knows which run of which server it leads to: after a restart or a fail-over that is
another one, and what it holds may be older.
"""

import os
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import hiredis
import redis
from redis import RedisError as RedisError

from readmodels.conf import conf
from readmodels.errors import ReadModelError, StoreMoved, StoreUnavailable, WriteRefused

# Never retried by the client: a projector's attempt is thrown away whole, a reader answers 503 at once.
OPTIONS = {"protocol": 2, "retry_on_timeout": False, "retry": None}
# A connection that was used less long ago is taken to be open: to look takes two more system calls.
IDLE_SECONDS = 1.0
# Answers that say something of the server and nothing of the value.
UNAVAILABLE = (
    "OOM",
    "LOADING",
    "READONLY",
    "MISCONF",
    "NOREPLICAS",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "BUSY",
    "NOAUTH",
    "NOPERM",
    "WRONGPASS",
    "max number of clients",
)


# A command and its arguments, or both as they are sent.
Command = tuple[Any, ...] | bytes


class Identified(redis.Redis):
    """A client whose connections carry `store_id`; besides those of its pool it has one for each thread that asks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._own = threading.local()

    def own_connection(self) -> Any:
        """This thread's connection, open as far as is known."""
        own = self._own
        made = getattr(own, "connection", None)
        now = time.monotonic()
        if made is None or own.forks != _forks:  # the process that this one was forked from keeps its own
            pool = self.connection_pool  # whose own count would take the connections of ended threads for open
            made = own.connection = pool.connection_class(**pool.connection_kwargs)
            own.forks = _forks
        elif now > own.used + IDLE_SECONDS:
            _end_if_over(made)
        own.used = now
        made.connect()  # does nothing where it is
        return made


# How often a process was forked until it came to be this one.
_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_forked)


def _end_if_over(made: Any) -> None:
    """A connection that the server has ended meanwhile, or on which it says what nobody asked, is ended here too."""
    try:
        is_over = made.is_connected and made.can_read()
    except redis.ConnectionError:
        is_over = True
    if is_over:
        made.disconnect()


@cache
def read_models() -> Identified:
    """The client of the read models' Redis; connections are opened on use and kept per thread or process."""
    return identified(conf().redis_url, conf().redis_timeout_seconds)


def limits() -> Identified:
    """The client of the Redis that keeps limits: that of the read models, unless another address is given."""
    return _limits() if conf().limits_url else read_models()


@cache
def broker() -> redis.Redis:
    """The client of the broker's Redis, used for the wake flag only; quick to give up, since a write waits for it."""
    return _client(conf().broker_url, conf().broker_timeout_seconds)


@cache
def _limits() -> Identified:
    return identified(conf().limits_url, conf().redis_timeout_seconds)


def identified(url: str, timeout_seconds: float) -> Identified:
    """A client whose connections carry `store_id`."""
    return cast(Identified, _client(url, timeout_seconds, Identified, redis_connect_func=_identify))


def _client(url: str, timeout_seconds: float, of: type[redis.Redis] = redis.Redis, **options: Any) -> redis.Redis:
    limits = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    return of.from_url(url, **limits, **OPTIONS, **options)


def _identify(made: Any) -> None:
    """Called by redis-py in place of its own `on_connect`, before the first command."""
    made.on_connect()
    made.send_command("INFO", "server")
    made.store_id = run_id(made.read_response())
    if made.socket_timeout is not None:
        _wait_in_kernel(made._sock, made.socket_timeout)


def _wait_in_kernel(sock: socket.socket, timeout_seconds: float) -> None:
    """The kernel gives up waiting. Python itself would ask it before each call whether the call would wait, and so take
    twice the system calls; a read that took too long raises an error that redis-py turns into its own, as before.
    """
    whole, part = divmod(timeout_seconds, 1)
    limit = struct.pack("ll", int(whole), int(part * 1_000_000))
    for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, direction, limit)
    sock.settimeout(None)


def run_id(info: bytes) -> str:
    """The run of the server that answered INFO: another one after each start, of a copy too."""
    found = re.search(rb"run_id:([0-9a-f]{40})", info)
    if found is None:
        raise RedisError("INFO names no run_id; a Redis behind this address must say which server it is")
    return found[1].decode()


def packed(command: Command) -> bytes:
    """The command as it is sent; what is so already stays so."""
    return command if isinstance(command, bytes) else hiredis.pack_command(command)


def ask(client: Identified, commands: Sequence[Command], store_id: str | None = None) -> tuple[str, list[Any]]:
    """(the id of the server that answered, its answers) in one round trip, on the thread's own connection.

    Raises StoreMoved, and sends nothing, where the id is not the one wanted. Quicker than the client's own pipeline.
    """
    try:
        connection = client.own_connection()
        if store_id is not None and connection.store_id != store_id:
            raise StoreMoved("another Redis answers than the one that is trusted")
        try:
            # redis-py itself looks at each argument before it packs, in twice the time that packing takes, and sends a
            # piece for every 6 KB, of which a batch of documents has a hundred.
            connection.send_packed_command([b"".join(map(packed, commands))])
            answers = [_answer(connection) for _ in commands]
        except BaseException:
            connection.disconnect()  # an answer may still come, to what is asked next
            raise
        for answer in answers:
            if isinstance(answer, redis.ResponseError):
                raise answer
    except redis.exceptions.NoScriptError:
        raise
    except redis.RedisError as error:
        raise _in_our_terms(error) from error
    return connection.store_id, answers


def _answer(connection: Any) -> Any:
    """One answer; an error is handed back, so that what follows it is read too."""
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


@contextmanager
def available() -> Iterator[None]:
    """What the client raises inside comes as StoreUnavailable, or as WriteRefused where a value is at fault."""
    try:
        yield
    except redis.exceptions.NoScriptError:
        raise
    except redis.RedisError as error:
        raise _in_our_terms(error) from error


def _in_our_terms(error: redis.RedisError) -> ReadModelError:
    is_of_value = isinstance(error, redis.ResponseError) and not any(state in str(error) for state in UNAVAILABLE)
    return WriteRefused(str(error)) if is_of_value else StoreUnavailable(str(error))
