"""The adversary: schedules drawn by chance, one after another, each ended by the law."""

import random
from collections.abc import Callable, Sequence

from readmodels.declare import ReadModel
from readmodels.store import Store
from readmodels.testing.attempt import Attempt
from readmodels.testing.law import assert_law, drain
from readmodels.testing.schedule import MOST_WRITERS, Schedule
from readmodels.testing.writers import Write, hands


def attack(
    store: Store,
    writes: Sequence[Write],
    *,
    schedules: int = 100,
    seed: int = 1,
    of: Sequence[type[ReadModel]] = (),
    attempt: type[Attempt] = Attempt,
    refused: tuple[type[Exception], ...] = (),
    watch: Callable[[], None] = lambda: None,
) -> None:
    """Each of so many schedules drawn by chance has ended with the law, and nothing went back in version meanwhile.

    A write is called with a source of chance and becomes one transaction, rolled back where it raises one of `refused`,
    what the tables refuse, or that a lock is held. The law is that of the read models `of`, and of all in the end.
    `watch` is called after each write to the store; it may look at what readers see. What is raised names seed and
    schedule, and lists what happened; the same seed draws the same.
    """
    committed = 0
    drain(store)
    with hands(MOST_WRITERS) as found:
        for number in range(1, schedules + 1):
            schedule = Schedule(store, random.Random(f"{seed}/{number}"), attempt, watch)
            try:
                schedule.run(writes, found, refused)
                assert_law(store, *of)
            except Exception as error:
                error.add_note(f"Schedule {number} of seed {seed}:\n{schedule}")
                raise
            committed += schedule.committed
    assert_law(store)
    assert committed, f"No write was ever committed. Schedule {schedules} of seed {seed}:\n{schedule}"
