"""Writers for an attack: transactions that are open side by side, each a step at a time in a thread of its own, since
a connection belongs to a thread.

Only one of all threads is at work at any moment, so the same chance gives the same order of steps.
"""

import random
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TypeVar

from django.db import IntegrityError, OperationalError, connection, connections, transaction

T = TypeVar("T")

# One transaction of a team's: called with its own source of chance. A generator pauses at each `yield`.
Write = Callable[[random.Random], object]

COMMITS = "commits"
# What tables answer to writers that are in each other's way.
REFUSED = (IntegrityError, OperationalError)
# Whoever holds the lock stands still meanwhile, so there is nothing to wait for.
LOCK_MS = 5


class Hand:
    """A thread with a connection of its own, which does what it is told while the caller waits."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self.do(_limit_locks)

    def do(self, step: Callable[[], T]) -> T:
        """What the step gives; raises what it raises."""
        return self._thread.submit(step).result()

    def close(self) -> None:
        """Its connection is closed, the thread has ended."""
        self.do(connections.close_all)
        self._thread.shutdown()


@contextmanager
def hands(count: int) -> Iterator[list[Hand]]:
    """So many hands, until the block ends."""
    with ExitStack() as held:
        yield [held.enter_context(closing(Hand())) for _ in range(count)]


def stepped(
    write: Write, chance: random.Random, hand: Hand, refused: tuple[type[Exception], ...] = ()
) -> Generator[str, None, None]:
    """The write in a transaction that commits a step later; rolled back where it is refused, or this is closed."""
    steps = _transaction(write, chance)
    noes: tuple[type[Exception], ...] = (*REFUSED, *refused)
    try:
        while said := hand.do(partial(next, steps, None)):
            yield said
        yield COMMITS
    except noes as error:
        yield f"is refused: {error!r}"
    finally:
        hand.do(steps.close)


def _transaction(write: Write, chance: random.Random) -> Generator[str, None, None]:
    with transaction.atomic():
        found = write(chance)
        if isinstance(found, Generator):
            for _ in found:
                yield "pauses"
        yield "writes"


def _limit_locks() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {LOCK_MS}")
