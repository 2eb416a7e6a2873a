"""Erasure: nothing in the read models, nor in what the engine keeps for them, says who somebody was. Knows no subject:
it is told of a row that was made anonymous, and of texts that were that person's alone.

1. Everything made of the row is settled, in every generation (erasing.py).
2. The engine's records of the row keep nothing that the row does not hold (records.py).
3. It is looked everywhere for the texts (searching.py), and what is found goes (removing.py), until nothing is found or
   what is left can't be helped.

Done again, all of it changes nothing. Stopped anywhere, it is done again. docs/how-to/erase-a-person.md says what is
out of reach: backups, logs, dead rows that PostgreSQL has not vacuumed yet.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.db import connection

from readmodels import deadletters, erasing, keys, records, removing, retention, searching
from readmodels.erasing import Place
from readmodels.errors import StoreUnavailable
from readmodels.records import Row as Row
from readmodels.records import note as note
from readmodels.searching import Needles, looked_for
from readmodels.store import Store

PASSES = 3  # what is found once more then is left, and said to be
MOST_HITS = 10_000  # that are removed in one pass
BROKER = "broker"
# Called after each step with what is at hand ("documents", "keys", "tables") and how many more of it were looked at.
OnStep = Callable[[str, int], object]


@dataclass
class Outcome:
    """What was found and done, by place: of what the row's documents are, and of what was met by looking. What is left,
    by place; what could not be looked at; whether it was looked.
    """

    settled: list[Place] = field(default_factory=list)
    met: list[Place] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    unlooked: list[str] = field(default_factory=list)
    is_looked_for: bool = False

    @property
    def is_clean(self) -> bool:
        """Whether everything was looked at, and nothing is left."""
        return self.is_looked_for and not self.left and not self.unlooked


def erase(
    store: Store,
    row: Row,
    *,
    alone: Sequence[str] = (),
    shared: Sequence[str] = (),
    on_step: OnStep = lambda what, count: None,
) -> Outcome:
    """Nothing made of the row, which is anonymous by now, says who it was.

    `alone` are texts that nobody else has: they are looked for everywhere. `shared` are those that others may have too,
    a name say: they are looked for where nobody reads any more. Without any of the first, it is not looked. Raises
    StoreUnavailable, EpochMoved and the like; then all of it is to be done again.
    """
    outcome = Outcome()
    texts, others = Needles(alone), Needles(shared)
    deadletters.begin_erasing()
    since, outcome.settled = erasing.settle(store, row, lambda count: on_step("documents", count))
    for _ in range(PASSES):
        # Again in each pass: an attempt that was under way may have moved a change on in between.
        outcome.met += _rewritten(records.forget(row, since))
        if not texts:
            break
        outcome.met += _rewritten(records.forget_quoted(texts.patterns))
        _look(store, texts, others, outcome, on_step)
        if not outcome.left:
            break
    with connection.cursor() as cursor:
        outcome.left |= dict.fromkeys(erasing.newer(cursor), 1)
    return outcome


def may_expire(left: Iterable[str]) -> bool:
    """Whether any of what is left lies in a read model, where tombstones go once no attempt is left to keep out."""
    return any(place.endswith(")") for place in left)


def _look(store: Store, texts: Needles, others: Needles, outcome: Outcome, on_step: OnStep) -> None:
    """What is found in the read models' Redis is removed, and counted as left until the next look."""
    store.expire_rows(range(keys.BUCKETS), retention.TOMBSTONES)
    known = removing.registered()
    says = looked_for(texts, others, lambda key: removing.is_served(key, known))
    hits = list(islice(searching.in_redis(store, says, lambda count: on_step("keys", count)), MOST_HITS))
    removed = removing.remove(store, hits, known)
    tables, outcome.unlooked = searching.in_postgresql(texts, lambda count: on_step("tables", count))
    outcome.left = {**removed, **_in_the_broker(texts, outcome), **tables}
    outcome.is_looked_for = True
    outcome.met += [Place(name, found=count, removed=count) for name, count in removed.items()]


def _in_the_broker(texts: Needles, outcome: Outcome) -> dict[str, int]:
    """Messages carry no data, so there is nothing to remove; a broker that is away has not been looked at."""
    try:
        hits = sum(
            1 for _ in searching.in_redis(searching.broker(), lambda _, value: texts.are_in(value), lambda _: None)
        )
    except StoreUnavailable:
        outcome.unlooked.append(BROKER)
        return {}
    return {BROKER: hits} if hits else {}


def _rewritten(tables: Mapping[str, int]) -> list[Place]:
    return [Place(table, found=rows, rewritten=rows) for table, rows in tables.items()]
