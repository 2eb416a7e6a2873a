"""What all scenarios stand on: servers of their own in a folder that goes away, the write model filled, processes that
serve or project.
"""

import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_urlsafe

import httpx
import psutil

from project import child, env, site
from project.embedded import Servers

START_SECONDS = 60


class Ground:
    """PostgreSQL and two Redis; Django is set up in this process, migrated and empty, once `standing` has begun."""

    def __init__(self, folder: Path, is_smoke: bool) -> None:
        self.folder = folder
        self.is_smoke = is_smoke
        self.servers = Servers(folder)

    def scaled(self, smoke: int, full: int) -> int:
        """How many or how often: few where only is to be seen that the scenario works."""
        return smoke if self.is_smoke else full

    @contextmanager
    def process(self, name: str, command: list[str], **environ: str) -> Iterator[psutil.Process]:
        """The command runs, on these servers, until the block ends."""
        log = self._log(name)
        made = child.spawn(command, log=log, environ={**os.environ, **environ}, folder=env.ROOT)
        try:
            yield psutil.Process(made.pid)
        except BaseException:
            self.say(child.tail(log))
            raise
        finally:
            child.stop([made], 10)

    def said(self, name: str) -> str:
        """All that the process of this name has written so far."""
        return self._log(name).read_text(errors="replace")

    def wait_until_said(self, name: str, word: str) -> None:
        """The log of the process of this name has the word; ends the program where it does not in time."""
        if not child.wait_until(lambda: word in self.said(name), START_SECONDS):
            raise SystemExit(f"{name} is not ready:\n{child.tail(self._log(name))}")

    @contextmanager
    def api(self, name: str, target: str, **environ: str) -> Iterator[tuple[str, psutil.Process]]:
        """(its URL, its process): granian serves this WSGI application, as `make run` has it serve the project's."""
        port = free_port()
        with self.process(name, site.api_command("127.0.0.1", port, 2, target), **environ) as process:
            url = f"http://127.0.0.1:{port}"
            if not child.wait_until(lambda: _answers(url), START_SECONDS):
                raise SystemExit(f"{name} does not answer:\n{child.tail(self._log(name))}")
            yield url, process

    def say(self, line: str) -> None:
        """A line for whoever watches."""
        print(line, file=sys.stderr, flush=True)

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"


@contextmanager
def standing(is_smoke: bool) -> Iterator[Ground]:
    """The ground, until the block ends; once per process, since Django's settings are read here."""
    folder = Path(tempfile.mkdtemp(prefix="readmodels-bench-"))
    ground = Ground(folder, is_smoke)
    try:
        # No limit refuses a load from one address; each is counted all the same.
        limits = dict.fromkeys(env.LIMITS, "100000000/60")
        os.environ.update(ground.servers.urls, READMODELS_DATA=str(folder), **limits, **PRODUCTION)
        ground.servers.start()
        _set_up()
        yield ground
    finally:
        ground.servers.stop()
        shutil.rmtree(folder, ignore_errors=True)


# As in production, but for TLS, which a proxy would end.
PRODUCTION = {
    "DEBUG": "0",
    "SECRET_KEY": token_urlsafe(50),
    "ALLOWED_HOSTS": "127.0.0.1",
    "TLS": "off",
    "DJANGO_SETTINGS_MODULE": "project.settings",
}


def _set_up() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def free_port() -> int:
    """A port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        return int(server.getsockname()[1])


def _answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        httpx.get(url, timeout=2)
        return True
    return False
