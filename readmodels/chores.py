"""Chores: what an app wants done now and then, done by whoever does the engine's work, so that apps need no Celery.

An app registers each in its AppConfig.ready(): `chores.register("users.forget_expired", forget_expired, 3600)`. With
workers, beat asks for what is due each second, on a queue of its own; a relay has a thread for it. A lease keeps two
processes from the same chore; it only saves double work, so a chore bears being done twice at once: it locks its rows.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

import structlog
from django.db import Error, close_old_connections

from readmodels.errors import ReadModelError
from readmodels.store import Store

log = structlog.get_logger()

# One bounded step: a second or so at the most, in transactions of its own. What it returns is true where there may be
# more to do; it is then called again at once.
Step = Callable[[], object]

# So long a chore with much to do goes on before the others have their turn.
TURN_SECONDS = 5.0
# After a process died over a chore, another takes it up so much later; longer than a step.
LEASE_SECONDS = 5


@dataclass(frozen=True)
class Chore:
    """A step, to be called every so many seconds."""

    name: str
    step: Step
    every_seconds: int


_registry: dict[str, Chore] = {}


def register(name: str, step: Step, every_seconds: int) -> None:
    """The step is called about every so many whole seconds, by one process at a time, from one second after the start.

    What it raises is logged and stops no other chore; it is called again when it is due again.
    """
    if every_seconds < 1:
        raise ValueError(f"{name}: every_seconds={every_seconds}; accepted: a whole number above 0")
    if name in _registry and _registry[name].step is not step:
        raise ValueError(f"{name} is registered already, with another step")
    _registry[name] = Chore(name, step, every_seconds)


def forget(name: str) -> None:
    """Take a chore out of the registry (tests register throw-away ones)."""
    _registry.pop(name, None)


def do_due(store: Store, may_go_on: Callable[[], bool] = lambda: True) -> list[str]:
    """Each chore that is due, and that nobody else is at, has had a turn; returns their names.

    `may_go_on` is asked before each step. Raises StoreUnavailable and the like where no lease can be taken.
    """
    return [chore.name for chore in list(_registry.values()) if may_go_on() and _turn(store, chore, may_go_on)]


def _turn(store: Store, chore: Chore, may_go_on: Callable[[], bool]) -> bool:
    """Whether it was due and free. The lease is kept until it is due again, or given back if that is now."""
    lease, holder = f"chore:{chore.name}", uuid4().hex
    if not store.take_lease(lease, holder, LEASE_SECONDS):
        return False
    deadline = time.monotonic() + TURN_SECONDS
    while _has_more(chore):
        if time.monotonic() > deadline or not may_go_on():
            store.give_back(lease, holder)
            return True
        store.keep_lease(lease, holder, LEASE_SECONDS)
    store.keep_lease(lease, holder, chore.every_seconds)
    return True


def _has_more(chore: Chore) -> bool:
    """A step is done; whether there is more to do at once."""
    try:
        return bool(chore.step())
    except Exception as error:  # whatever it is, the other chores may well do better
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        is_away = isinstance(error, Error | ReadModelError)  # of a server that is, the reason says enough
        log.warning("chore_failed", chore=chore.name, reason=reason, exc_info=not is_away)
        close_old_connections()
        return False
