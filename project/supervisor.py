"""Starts everything, in the order in which each part needs the one before, and stops it in reverse.

Nothing here reads the database: what does is a child process, given the addresses in its environment.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from project import child
from project.child import CannotStart
from project.embedded import Servers
from project.env import SERVER_VARIABLES
from project.preflight import is_answering, is_ready, locked, require_answers, require_free_port
from project.site import Site, api_command, beat_command, events_command, relay_command, worker_command

MIGRATE_SECONDS = 300
DEMO_DATA_SECONDS = 900
API_SECONDS = 60
READY_SECONDS = 30

Say = Callable[[str], None]


@contextmanager
def running(
    folder: Path,
    port: int,
    *,
    events_port: int | None = None,
    host: str = "127.0.0.1",
    processes: int = 2,
    demo_data: bool = True,
    has_broker: bool = True,
    say: Say = print,
) -> Iterator[Site]:
    """Servers, API, live updates, worker and beat run as long as the block lasts; nothing of them is left afterwards.

    Live updates have the port after the API's where none is named.

    Without a broker, a relay runs in place of worker and beat, and BROKER_URL is left alone.

    Call it in the main thread: a signal to stop raises KeyboardInterrupt there, once. Raises CannotStart where the user
    has something to do first, ChildEnded where a part failed during the start.
    """
    with ExitStack() as stack:
        _interrupt_on_signals(stack)
        try:
            stack.enter_context(locked(folder))
            events_port = port + 1 if events_port is None else events_port
            require_free_port(host, port)
            require_free_port(host, events_port, "EVENTS_PORT")
            unused = set() if has_broker else {"BROKER_URL"}
            named = require_answers({name: os.environ.get(name, "") for name in set(SERVER_VARIABLES) - unused})
            servers = Servers(folder, without=named | unused)
            urls = [f"http://{_reachable(host)}:{number}" for number in (port, events_port)]
            site = Site(folder.resolve(), urls[0], servers, urls[1], has_broker)
            stack.callback(servers.stop)
            stack.callback(site.stop)
            _start(site, host, port, events_port, processes, say)
            if site.is_demo and demo_data:
                site.manage("create_demo_data", limit_seconds=DEMO_DATA_SECONDS, has_log=False)
            yield site
        finally:
            # From here on all ends within bounds; a second Ctrl-C must not leave half of it behind.
            for number in child.STOP_SIGNALS:
                signal.signal(number, signal.SIG_IGN)


def _start(site: Site, host: str, port: int, events_port: int, processes: int, say: Say) -> None:
    with _timed(say, "PostgreSQL and Redis"):
        site.servers.start()
    with _timed(say, "Migrations"):
        site.manage("migrate", "--no-input", limit_seconds=MIGRATE_SECONDS)
    with _timed(say, "API, worker and beat" if site.has_broker else "API and relay"):
        if site.has_broker:
            site.start("worker", worker_command(processes, "live"))
            site.start("bulk-worker", worker_command(1, "bulk"))
            # Of its own: a rebuild takes minutes, and a token of what a large fan-out left would wait as long.
            site.start("repair-worker", worker_command(processes, "repair"))
            # An import of orders takes hours: what heals must not wait for it either.
            site.start("chores-worker", worker_command(1, "chores"))
            site.start("beat", beat_command(site.folder))
        else:
            site.start("relay", relay_command())
        site.start("api", api_command(host, port, processes))
        site.start("events", events_command(host, events_port))
        _wait_for(site, "API", site.base_url, "api")
        _wait_for(site, "process of live updates", site.events_url, "events")
        # A Redis that was started anew is looked at before it is read; what it lost may take long, and need not be
        # waited for: queries answer 503 until then.
        child.wait_until(lambda: _is_so(is_ready, site, site.base_url), READY_SECONDS)


def _wait_for(site: Site, what: str, url: str, log: str) -> None:
    if not child.wait_until(lambda: _is_so(is_answering, site, url), API_SECONDS):
        raise CannotStart(f"The {what} does not answer on {url} after {API_SECONDS} s; see {site.logs}/{log}.log")


def _is_so(is_true: Callable[[str], bool], site: Site, url: str) -> bool:
    site.check()
    return is_true(url)


def _interrupt_on_signals(stack: ExitStack) -> None:
    """Until the stack unwinds, each signal to stop raises KeyboardInterrupt."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in child.STOP_SIGNALS:
        stack.callback(signal.signal, number, signal.signal(number, interrupt))


@contextmanager
def _timed(say: Say, what: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    say(f"  {what:<24} ready after {time.monotonic() - started:.1f} s")


def _reachable(host: str) -> str:
    """The host to ask on this machine when the API listens on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host) or (f"[{host}]" if ":" in host else host)  # noqa: S104
