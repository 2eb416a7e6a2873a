"""Child processes that can't outlive their parent: how servers, API and worker are started and stopped."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_SECONDS = 0.02
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1
# Looked up here because between fork and exec no lock may be taken. Elsewhere than on Linux a child may be left over
# when its parent is killed with -9; the next start ends it.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
# How children take turns on a busy machine, by sched(7): one that is woken lets whoever runs go on (decision 0017).
_BATCH: int | None = getattr(os, "SCHED_BATCH", None)  # Linux alone has it


class CannotStart(Exception):
    """Something has to be done by the user first; the text says what, for one look at the terminal."""


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Signals to stop wait until the block's end: a child that was started and not yet noted would be left behind."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path | None,
    stop_signal: signal.Signals = signal.SIGTERM,
    environ: Mapping[str, str] | None = None,
    account: pwd.struct_passwd | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, so that Ctrl-C reaches the parent alone; `log` None shares its output.

    If this process dies, the child is sent `stop_signal`. The kernel ties that to the thread that forks: call it from
    the main thread.
    """
    parent_id = os.getpid()

    def die_with_parent() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        # Runs after the change of user, which clears the setting.
        if _prctl:
            _prctl(PR_SET_PDEATHSIG, stop_signal)
        if _BATCH is not None:
            with suppress(OSError):  # a sandbox may forbid it
                os.sched_setscheduler(0, _BATCH, os.sched_param(0))
        if os.getppid() != parent_id:
            os._exit(1)

    output = _fresh_log(log) if log else None
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if log else None,
            env=environ,
            cwd=folder,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    finally:
        if output is not None:
            os.close(output)


def run(
    command: Sequence[str | Path],
    limit_seconds: float,
    *,
    log: Path | None,
    environ: Mapping[str, str] | None = None,
    account: pwd.struct_passwd | None = None,
    folder: Path | None = None,
) -> int:
    """The exit code of a command that has ended, by itself or killed after the limit."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with uninterrupted():
            process = spawn(command, log=log, environ=environ, account=account, folder=folder)
        with suppress(subprocess.TimeoutExpired):
            return process.wait(limit_seconds)
        return -signal.SIGKILL
    finally:
        if process is not None:
            kill(process)


def stop(
    processes: Iterable[subprocess.Popen[bytes]], limit_seconds: float, stop_signal: signal.Signals = signal.SIGTERM
) -> None:
    """All have ended: by one signal each, in this order, or killed after the limit with what they had started."""
    deadline = time.monotonic() + limit_seconds
    stopping = list(processes)
    for process in stopping:
        process.send_signal(stop_signal)
    for process in stopping:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(deadline - time.monotonic(), POLL_SECONDS))
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """The process and its group have been killed with SIGKILL, as by a crash."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until(is_true: Callable[[], bool], limit_seconds: float) -> bool:
    """Whether the condition came true within the limit."""
    deadline = time.monotonic() + limit_seconds
    while not is_true():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join(text.splitlines()[-lines:])


def _fresh_log(log: Path) -> int:
    """An empty log to write to; the one before it is kept beside it, and only that one."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists():
        log.replace(log.with_suffix(".log.1"))
    return os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
