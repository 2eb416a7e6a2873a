"""The processes that project: ours as `manage.py up` starts them, and the worker that people would run instead."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from bench.ground import Ground
from project.site import beat_command, relay_command, worker_command


@contextmanager
def workers(ground: Ground) -> Iterator[None]:
    """Celery workers of all queues take tasks, and beat sends sweeps."""
    commands = {
        "worker": worker_command(2, "live"),
        "bulk-worker": worker_command(1, "bulk"),
        "repair-worker": worker_command(2, "repair"),
        "chores-worker": worker_command(1, "chores"),
    }
    with _started(ground, commands, " ready."), ground.process("beat", beat_command(ground.folder)):
        yield


@contextmanager
def relay(ground: Ground) -> Iterator[None]:
    """One process does it all, without a broker."""
    with _started(ground, {"relay": relay_command()}, "relay_started"):
        yield


@contextmanager
def peer(ground: Ground, **environ: str) -> Iterator[None]:
    """A worker takes the task of each change."""
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "bench.peers.task_queue",
        "worker",
        "--concurrency=2",
        "--loglevel=INFO",
    ]
    with _started(ground, {"peer": command}, " ready.", **environ):
        yield


@contextmanager
def _started(ground: Ground, commands: Mapping[str, list[str]], word: str, **environ: str) -> Iterator[None]:
    """All of them have said that they are ready."""
    with ExitStack() as stack:
        for name, command in commands.items():
            stack.enter_context(ground.process(name, command, PYTHONUNBUFFERED="1", **environ))
        for name in commands:
            ground.wait_until_said(name, word)
        yield
