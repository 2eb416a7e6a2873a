"""One server as a child process on a data folder and a unix socket; what PostgreSQL and Redis have in common here.

Whoever starts one holds the data folder's lock (`preflight.py`). So a server found on the socket was left behind by a
kill, and is ended first.
"""

import hashlib
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from project import child
from project.binaries import open_way
from project.child import CannotStart

# A server that can't start ends, and is noticed at once; one that loads a large file takes its time (a Redis of 560 MB
# with as much behind it took longer than 30 s on a busy machine).
START_SECONDS = 300
# PostgreSQL writes a checkpoint before it stops.
STOP_SECONDS = 20
# What the kernel takes as a unix socket's path without its final NUL (macOS; Linux has 107), and our longest name.
LONGEST_SOCKET_PATH = 103
LONGEST_SOCKET_NAME = "read-models.sock"


class Server:
    """Start, stop and kill it as often as you like: it keeps its data and its address."""

    stop_signal = signal.SIGTERM
    id_file = "server.pid"
    # Said by a server that declines to start only because its killed forerunner has not quite gone.
    not_yet: tuple[str, ...] = ()

    def __init__(self, folder: Path, name: str, socket_name: str) -> None:
        self.name = name
        self.data = folder.resolve() / name
        self.log = folder.resolve() / "logs" / f"{name}.log"
        self.socket = sockets_folder(folder) / socket_name
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether the process that `start` made is alive."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """The server answers when this returns; raises CannotStart with the end of its log when it can't."""
        if self.is_running:
            return
        self.prepare()
        self._end_leftover()
        deadline = time.monotonic() + START_SECONDS
        while not self._try_start(deadline):
            self.kill()
            reason = child.tail(self.log)
            if time.monotonic() > deadline or not any(words in reason for words in self.not_yet):
                raise CannotStart(f"{self.name} does not start. The end of {self.log}:\n{reason}")
            time.sleep(child.POLL_SECONDS)

    def stop(self) -> None:
        """The server has ended in good order, or was killed after 20 seconds."""
        if self.is_running and self.process:
            child.stop([self.process], STOP_SECONDS, self.stop_signal)

    def kill(self) -> None:
        """The server has been killed with SIGKILL."""
        if self.is_running and self.process:
            child.kill(self.process)

    @property
    def url(self) -> str:
        """The address to give to its clients, known before it runs."""
        raise NotImplementedError

    def prepare(self) -> None:
        """The folders are there; called before each start."""
        raise NotImplementedError

    def spawn(self) -> subprocess.Popen[bytes]:
        """The process, just started; called again while it declines for a reason in `not_yet`."""
        raise NotImplementedError

    def is_ready(self) -> bool:
        """Whether it answers; called every 20 ms until it does."""
        raise NotImplementedError

    def _try_start(self, deadline: float) -> bool:
        with child.uninterrupted():
            self.process = self.spawn()
        child.wait_until(lambda: not self.is_running or self.is_ready(), deadline - time.monotonic())
        return self.is_running and self.is_ready()

    def _end_leftover(self) -> None:
        for end_signal in (self.stop_signal, signal.SIGKILL):
            if not is_listening(self.socket):
                return
            # The process id in the file is to be trusted: whoever wrote it still listens.
            with suppress(ProcessLookupError):
                os.kill(int((self.data / self.id_file).read_text().split()[0]), end_signal)
            child.wait_until(lambda: not is_listening(self.socket), STOP_SECONDS)


def sockets_folder(folder: Path) -> Path:
    """Where the sockets of a data folder are: in it, or under the system's temporary folder if its path is long."""
    inside = folder.resolve() / "sockets"
    if len(os.fsencode(inside / LONGEST_SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
        return inside
    digest = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"readmodels-{digest}"


def make_private(folder: Path, account: pwd.struct_passwd | None = None) -> None:
    """The folder exists and is open to its owner only: the account, or else whoever runs this."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_ours = os.geteuid() in (0, folder.stat().st_uid)
    if folder.is_symlink() or not is_ours:
        raise CannotStart(f"{folder} belongs to somebody else; remove it, or choose another data folder.")
    if account:
        os.chown(folder, account.pw_uid, account.pw_gid)
        open_way(folder)


def is_listening(path: Path) -> bool:
    """Whether a process accepts connections on this unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
