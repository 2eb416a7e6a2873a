"""One poison document blocks only itself. A batch that fails is split until the failing change stands alone; a change
that reaches many documents is split into one change for each; what fails alone is tried again, later each time, and
parked as a dead letter in the end.

Attempts are counted in PostgreSQL, and committed, before the work: a document that kills its projector (no exception, no
clean-up) is isolated and parked like any other.
"""

import traceback
from collections.abc import Callable, Sequence

import structlog
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from readmodels import building, deadletters, outbox
from readmodels.conf import conf
from readmodels.deadletters import Failure
from readmodels.errors import EpochMoved, ReadModelError
from readmodels.generations import Generation
from readmodels.outbox import Change

log = structlog.get_logger()

PARK_AFTER = 5  # attempts at one change alone
FIRST_DELAY_SECONDS = 0.4  # doubled with each attempt: 0.4 to 3.2 s, some 6 s until something is parked
AFTER_ONE_DEATH = 22  # changes in a batch after its projector died once: two steps from 500 to one alone

# SQLSTATEs that say something of the server and nothing of the statement: connections, rollbacks, shutdowns, resources.
SERVER_STATES = ("08", "40", "53", "55", "57P", "58")
OUT_OF_MEMORY = "53200"


def begin(shards: Sequence[int]) -> int:
    """How many changes the attempt at these shards may take; that it began is on record until `end`.

    The record need not outlive a crash of PostgreSQL, only that of the projector: so nobody waits for the disk.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO readmodels_shard AS s (number, attempts) SELECT n, 1 FROM unnest(%s::int[]) n"
            " ON CONFLICT (number) DO UPDATE SET attempts = s.attempts + 1"
            " RETURNING attempts, set_config('synchronous_commit', 'off', true)",
            [list(shards)],
        )
        attempts = max(attempts for attempts, _ in cursor.fetchall())
    return {1: conf().batch_rows, 2: AFTER_ONE_DEATH}.get(attempts, 1)


def end(shards: Sequence[int]) -> None:
    """The attempt has ended, well or with an error that was noticed."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE readmodels_shard SET attempts = 0 WHERE number = ANY(%s)", [list(shards)])


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


def split(changes: Sequence[int], project: Callable[[Sequence[int]], None], alone: Callable[[int], None]) -> None:
    """Every change, named by id, is projected with others or tried alone. Raises transient errors."""
    if len(changes) == 1:
        alone(changes[0])
        return
    middle = len(changes) // 2
    for half in (changes[:middle], changes[middle:]):
        try:
            project(half)
        except Exception as error:
            if is_transient(error):
                raise
            split(half, project, alone)


def count_attempt(change: int) -> int:
    """One more attempt at the change is on record, and the next one has to wait; returns how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE readmodels_change SET attempts = attempts + 1,"
            " not_before = clock_timestamp() + make_interval(secs => %s * 2 ^ attempts) WHERE id = %s RETURNING attempts",
            [FIRST_DELAY_SECONDS, change],
        )
        row = cursor.fetchone()
    return row[0] if row else 0


def failures(change: Change, generation: Generation, error: Exception) -> list[Failure]:
    """What could not be made of the change in one generation: a failure for each root row that it stands for."""
    text = f"{type(error).__name__}: {error}".strip()
    trace = "".join(traceback.format_exception(error))
    is_root = change.source == generation.plan.root_table
    return [
        Failure(
            generation.plan.name,
            generation.number,
            generation.plan.root_table,
            key,
            change.before if is_root else None,
            change.writers,
            text,
            trace,
        )
        for key in sorted(building.own_roots(generation.plan, change))
    ]


def park(change: Change, failed: Sequence[Failure], attempts: int, epoch: int) -> None:
    """The change is acknowledged, and a dead letter stands for each failure, in one transaction."""
    with transaction.atomic(), connection.cursor() as cursor:
        if outbox.acknowledge([change], epoch):
            deadletters.park(cursor, failed, attempts)


class Died(Exception):
    """The projector died at this change, each time it was tried."""


def same_epoch(epochs: set[int]) -> int:
    """The one epoch of several snapshots; raises EpochMoved where it changed between them."""
    if len(epochs) != 1:
        raise EpochMoved("the epoch moved between two snapshots")
    return epochs.pop()
