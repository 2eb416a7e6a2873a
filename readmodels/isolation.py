"""One poison document blocks only itself. A batch that fails is split until the failing change stands alone; a change
that reaches many documents is split into one change for each; what fails alone is tried again, later each time, and
parked as a dead letter in the end.

Attempts are counted in PostgreSQL, and committed, before the work: a document that kills its projector (no exception,
no clean-up) is isolated and parked like any other.
"""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from readmodels import building, deadletters, outbox
from readmodels.deadletters import Failure
from readmodels.errors import Died, ReadModelError
from readmodels.generations import Generation
from readmodels.outbox import Change
from readmodels.redaction import redacted
from readmodels.snapshot import Snapshot

PARK_AFTER = 5  # attempts at one change alone
FIRST_DELAY_SECONDS = 0.4  # doubled with each attempt: 0.4 to 3.2 s, some 6 s until something is parked
AFTER_ONE_DEATH = 32  # changes in a part of a batch that its projector died of once: two steps from 1,000 to one alone

# SQLSTATEs that say something of the server and nothing of the statement: connections, rollbacks, shutdowns, resources.
SERVER_STATES = ("08", "40", "53", "55", "57P", "58")
OUT_OF_MEMORY = "53200"


def limit_after(attempts: int) -> int:
    """How many changes may be taken together after so many attempts, of which none but the last may have ended."""
    return AFTER_ONE_DEATH if attempts == 2 else 1


class Suspect(Exception):
    """What comes next has failed before, and is tried alone."""


def is_transient(error: Exception) -> bool:
    """Whether the same work may well succeed later; else some document in it is at fault."""
    if isinstance(error, ReadModelError):
        return error.is_transient
    if isinstance(error, InterfaceError):
        return True
    if not isinstance(error, DatabaseError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    if state is None:
        return isinstance(error, OperationalError)  # the connection broke
    return bool(state.startswith(SERVER_STATES) and state != OUT_OF_MEMORY)


def split(changes: Sequence[int], together: Callable[[Sequence[int]], object], alone: Callable[[int], None]) -> None:
    """Every change, named by id, is projected with others or tried alone. Raises transient errors."""
    if len(changes) <= 1:
        for change in changes:
            alone(change)
        return
    middle = len(changes) // 2
    for half in (changes[:middle], changes[middle:]):
        if _error(partial(together, half)):
            split(half, together, alone)


def in_parts(changes: Sequence[int], together: Callable[[Sequence[int]], object], alone: Callable[[int], None]) -> None:
    """Every change is projected with few others; one that is by itself may have failed before, and is tried alone."""
    for start in range(0, len(changes), AFTER_ONE_DEATH):
        part = changes[start : start + AFTER_ONE_DEATH]
        if len(part) == 1:
            alone(part[0])
        else:
            together(part)


def count_attempt(change: int) -> int:
    """One more attempt at the change is on record, and the next one has to wait; returns how many there were.

    0: it is gone, or its time has not come. So projectors that overlap never count against it together.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE readmodels_change SET attempts = attempts + 1,"
            " not_before = clock_timestamp() + make_interval(secs => %s * 2 ^ attempts)"
            " WHERE id = %s AND (not_before IS NULL OR not_before <= clock_timestamp()) RETURNING attempts",
            [FIRST_DELAY_SECONDS, change],
        )
        row = cursor.fetchone()
    return row[0] if row else 0


@dataclass
class Outcome:
    """What an attempt at one change alone has not done: what failed, and what is left to a fan-out."""

    change: Change
    failures: list[Failure] = field(default_factory=list)
    wide: set[str] = field(default_factory=set)

    @property
    def left(self) -> dict[int, set[str]]:
        """What goes on in the bulk lane, by the change's id."""
        return {self.change.id: self.wide} if self.wide else {}


def attempt_each(
    change: Change,
    generations: Sequence[Generation],
    attempts: int,
    attempt: Callable[[Generation, dict[int, set[str]]], None],
) -> Outcome:
    """The change tried in each generation that it concerns, by itself. Raises transient errors.

    Where it fails and reaches documents of other tables, those become changes of their own, and only its own row is
    tried again. After too many attempts, each of which its projector did not survive, nothing is tried.
    """
    outcome = Outcome(change)
    for generation in generations:
        if not (change.is_for(generation.id) and building.is_concerned(generation.plan, change)):
            continue
        error = _error(partial(attempt, generation, {}), attempts)
        if error and any(building.ways(generation.plan, [change])):
            outcome.wide.add(generation.plan.name)
            error = _error(partial(attempt, generation, outcome.left), attempts)
        if error:
            found = _failures(change, generation, error)
            if not found:  # no document is at fault that the change names
                raise error
            outcome.failures += found
    return outcome


def park(outcome: Outcome, attempts: int, seen_in: Snapshot) -> None:
    """The change is acknowledged, and a dead letter stands for each failure, in one transaction."""
    with transaction.atomic():
        if outbox.acknowledge([outcome.change], seen_in, outcome.left):
            deadletters.park(outcome.failures, attempts, seen_in)


def _error(work: Callable[[], object], attempts: int = 1) -> Exception | None:
    """What the work failed with, None if it was done; raises what passes by itself."""
    if attempts > PARK_AFTER:
        return Died(f"the projector ended without a word in each of {PARK_AFTER} attempts")
    try:
        work()
    except Exception as error:
        if is_transient(error):
            raise
        return error
    return None


def _failures(change: Change, generation: Generation, error: Exception) -> list[Failure]:
    """A failure for each root row that the change itself names in the generation."""
    before = change.before if change.source == generation.plan.root_table else None
    roots = sorted(building.own_roots(generation.plan, change))
    return [failure(generation, key, before, change.writers, error, change.at) for key in roots]


def failure(
    generation: Generation,
    key: str,
    before: str | None,
    writers: Sequence[int],
    error: Exception,
    at: datetime | None = None,
) -> Failure:
    """What is to be parked of a root row that could not be made in a generation."""
    plan = generation.plan
    # PostgreSQL quotes the row at fault; it stays long after the person it is about has gone.
    text = redacted(f"{type(error).__name__}: {error}".strip())
    trace = redacted("".join(traceback.format_exception(error)))
    return Failure(plan.name, generation.number, plan.root_table, key, before, writers, text, trace, at)
