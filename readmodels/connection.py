"""The clients of Redis, one for the read models and one for the broker: neither waits for ever, and what goes wrong
comes in the engine's own terms.

Each connection to the read models knows which run of which server it leads to: after a restart or a fail-over that is
another one, and what it holds may be older.
"""

import math
import os
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
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
# So many bytes are taken at once.
RECEIVED = 65_536
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


class Link:
    """A connection that redis-py has opened, asked without what it does around each command and each answer."""

    def __init__(self, made: Any) -> None:
        self.store_id: str = made.store_id
        self._made = made
        self._socket: socket.socket = made._sock
        self._reader = hiredis.Reader(protocolError=redis.InvalidResponse, replyError=made._parser.parse_error)
        # The server's clock (ms), and when it was asked, by ours (s).
        self.clock = 0, -math.inf
        # Of what was told: how many answers have not been read, when the first of them is late, and those read.
        self._owed, self._late_at, self._heard = 0, math.inf, list[Any]()
        self._forks = _forks
        self._used = time.monotonic()

    def is_usable(self) -> bool:
        """Whether it is this process's, and open as far as is known."""
        if self._forks != _forks:  # the process that this one was forked from keeps its own
            return False
        now = time.monotonic()
        is_idle, self._used = now > self._used + IDLE_SECONDS, now
        return not (is_idle and self._is_over())

    def ask(self, packed: bytes, count: int) -> list[Any]:
        """So many answers to the commands, which are sent as they are; an error is an answer too.

        Raises OSError, and redis-py's errors for an answer that is none; nothing more can be asked then.
        """
        self._socket.sendall(packed)
        if not self._owed:
            return self._read(count)
        answers, owed = self._read(self._owed + count), self._owed
        self._owed, self._heard = 0, self._heard + answers[:owed]
        return answers[owed:]

    def tell(self, packed: bytes, count: int) -> list[Any]:
        """The same, without waiting for answers: returns those that have come to what was told before.

        Raises BlockingIOError, too, where they are late.
        """
        self._hear()
        now = time.monotonic()
        if not self._owed:
            self._late_at = now + (self._made.socket_timeout or math.inf)
        elif now > self._late_at:
            raise BlockingIOError
        self._socket.sendall(packed)
        self._owed += count
        heard, self._heard = self._heard, []
        return heard

    def end(self) -> None:
        """It is closed."""
        self._made.disconnect()

    def _read(self, count: int, flags: int = 0) -> list[Any]:
        """So many answers, and those that have come with the last of them."""
        receive, reader = self._socket.recv, self._reader
        answers: list[Any] = []
        while len(answers) < count:
            if not (data := receive(RECEIVED, flags)):
                raise redis.ConnectionError("Redis has ended the connection")
            reader.feed(data)
            while (answer := reader.gets()) is not False:
                answers.append(answer)
        return answers

    def _hear(self) -> None:
        """What has come of the answers that are owed is read."""
        with suppress(BlockingIOError):
            while self._owed:
                come = self._read(1, socket.MSG_DONTWAIT)
                self._owed -= len(come)
                self._heard += come

    def _is_over(self) -> bool:
        """Whether the server has ended the connection meanwhile, or says on it what nobody asked."""
        try:
            self._hear()
            return not self._owed and bool(self._made.can_read())
        except (OSError, redis.ConnectionError):
            return True


Say = Callable[[Link, bytes, int], list[Any]]


class Identified(redis.Redis):
    """A client whose connections carry `store_id`; besides those of its pool it has one for each thread that asks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._own = threading.local()

    def link(self) -> Link:
        """This thread's own connection."""
        return self.known() or self._opened()

    def known(self) -> Link | None:
        """The same, if it is open."""
        link: Link | None = getattr(self._own, "link", None)
        return link if link and link.is_usable() else None

    def ended(self, link: Link) -> None:
        """This thread's own connection is given up: an answer may still come, to what would be asked next."""
        del self._own.link
        link.end()

    def _opened(self) -> Link:
        pool = self.connection_pool  # whose own count would take the connections of ended threads for open
        made: Any = pool.connection_class(**pool.connection_kwargs)
        made.connect()
        self._own.link = link = Link(made)
        return link


# How often a process was forked until it came to be this one.
_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_forked)


@cache
def read_models() -> Identified:
    """The client of the read models' Redis; connections are opened on use and kept per thread or process."""
    return identified(conf().redis_url, conf().redis_timeout_seconds)


def limits() -> Identified:
    """The client of the Redis that keeps limits: that of the read models, unless another address is given."""
    return _limits() if conf().limits_url else read_models()


@cache
def broker() -> Identified:
    """The client of the broker's Redis, used for the wake only; quick to give up, since a write waits at times."""
    return identified(conf().broker_url, conf().broker_timeout_seconds)


@cache
def _limits() -> Identified:
    return identified(conf().limits_url, conf().redis_timeout_seconds)


def identified(url: str, timeout_seconds: float) -> Identified:
    """A client whose connections carry `store_id`."""
    limits = {"socket_timeout": timeout_seconds, "socket_connect_timeout": timeout_seconds}
    return cast(Identified, Identified.from_url(url, redis_connect_func=_identify, **limits, **OPTIONS))


def _identify(made: Any) -> None:
    """Called by redis-py in place of its own `on_connect`, before the first command."""
    made.on_connect()
    made.send_command("INFO", "server")
    made.store_id = run_id(made.read_response())
    if made.socket_timeout is not None:
        _wait_in_kernel(made._sock, made.socket_timeout)


def _wait_in_kernel(sock: socket.socket, timeout_seconds: float) -> None:
    """The kernel gives up waiting. Python itself would ask it before each call whether the call would wait, and so take
    twice the system calls; a read that took too long raises BlockingIOError.
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
    return ask_packed(client, b"".join(map(packed, commands)), len(commands), store_id)


def tell(client: Identified, command: Command) -> None:
    """The command is sent, and nothing is waited for: that it failed is raised when the next is told."""
    ask_packed(client, packed(command), 1, say=Link.tell)


def ask_packed(
    client: Identified, commands: bytes, count: int, store_id: str | None = None, say: Say = Link.ask
) -> tuple[str, list[Any]]:
    """The same for so many commands as they are sent."""
    try:
        link = client.link()
        if store_id is not None and link.store_id != store_id:
            raise StoreMoved("another Redis answers than the one that is trusted")
        try:
            answers = say(link, commands, count)
        except BaseException:
            client.ended(link)
            raise
        for answer in answers:
            if isinstance(answer, redis.RedisError):
                raise answer
    except redis.exceptions.NoScriptError:
        raise
    except redis.RedisError as error:
        raise _in_our_terms(error) from error
    except OSError as error:
        is_late = isinstance(error, BlockingIOError)  # as the kernel says of a wait that was long enough
        raise StoreUnavailable("Redis did not answer in time" if is_late else str(error)) from error
    return link.store_id, answers


def clock_ms(client: Identified) -> int:
    """The server's clock (ms)."""
    _, [(seconds, microseconds)] = ask(client, [("TIME",)])
    return int(seconds) * 1000 + int(microseconds) // 1000


def recent_ms(client: Identified, within_seconds: float) -> int:
    """The same, as it was so long ago at the most: it takes a trip only now and then."""
    now = time.monotonic()
    link = client.known()
    if link is None or now > link.clock[1] + within_seconds:
        at = clock_ms(client)
        link = client.link()
        link.clock = at, now
    return link.clock[0]


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
