"""What the read models are doing, for people and for monitoring."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection

from readmodels import consistency, generations, models, retention, scrub
from readmodels.conf import conf
from readmodels.declare import declared
from readmodels.fingerprint import fingerprint
from readmodels.outbox import SHARDS, Lane, Pending


@dataclass(frozen=True)
class ReadModelStatus:
    """One generation of a read model; `is_declared`: the running code declares exactly this.

    `lag_seconds` is the age of the read model's oldest change that is not projected.
    """

    read_model: str
    generation: int
    state: str
    fingerprint: str
    is_declared: bool
    lag_seconds: float
    dead_letters: int


@dataclass(frozen=True)
class LaneStatus:
    """What is not yet projected in one lane."""

    lane: str
    backlog_rows: int
    lag_seconds: float


@dataclass(frozen=True)
class Group:
    """Changes not yet projected that are alike, in one lane."""

    lane: Lane
    alike: Pending
    rows: int
    lag_seconds: float


def backlog() -> list[Group]:
    """All that is not yet projected."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(shard), source, columns, read_models, min(at), count(*),"
            " extract(epoch FROM clock_timestamp() - min(at))"
            " FROM readmodels_change GROUP BY floor(shard / %s::float), source, columns, read_models",
            [SHARDS],
        )
        return [
            Group(Lane.of(shard), Pending(0, *alike), rows, round(max(0.0, float(age)), 3))
            for shard, *alike, rows, age in cursor.fetchall()
        ]


def lanes(pending: Sequence[Group]) -> list[LaneStatus]:
    """What is pending, by lane."""
    by_lane = {lane: [group for group in pending if group.lane is lane] for lane in Lane}
    return [
        LaneStatus(lane.name.lower(), sum(group.rows for group in found), _lag(found))
        for lane, found in by_lane.items()
    ]


def read_models(pending: Sequence[Group]) -> list[ReadModelStatus]:
    """Every generation that there is, by read model; `pending` is the backlog."""
    declared_prints = {name: fingerprint(read_model) for name, read_model in declared().items()}
    lags = _lags(pending)
    letters = Counter(models.DeadLetter.objects.values_list("read_model", "generation"))
    return [
        ReadModelStatus(
            row.read_model,
            row.number,
            row.state,
            row.fingerprint,
            declared_prints.get(row.read_model) == row.fingerprint,
            lags.get(row.read_model, 0.0),
            letters[row.read_model, row.number],
        )
        for row in models.Generation.objects.order_by("read_model", "number")
    ]


def _lag(pending: Sequence[Group]) -> float:
    return max((group.lag_seconds for group in pending), default=0.0)


def _lags(pending: Sequence[Group]) -> dict[str, float]:
    """The lag by read model, of those that have any."""
    with connection.cursor() as cursor:
        current = generations.current(cursor)
    lags: dict[str, float] = {}
    for group in pending:
        for name in consistency.concerned(group.alike, current):
            lags[name] = max(lags.get(name, 0.0), group.lag_seconds)
    return lags


def alarms() -> list[str]:
    """What somebody should look at, in plain words; empty where all is well."""
    heart = models.Heartbeat.objects.first()
    longest = retention.longest_transaction()
    letters = models.DeadLetter.objects.count()
    found = {
        "no Redis is trusted: it evicts, or was never looked at": not heart or not heart.store_id,
        "what Redis had lost is being projected again": bool(heart and heart.replays),
        f"{letters} dead letters": letters > 0,
    }
    if drifted := [each for each in scrub.verified_as_of() if each.found]:
        names = ", ".join(f"{each.read_model} ({each.found})" for each in drifted)
        found[f"the scrub's last round found drift: {names}; the log says what of it is mended, at 'drift'"] = True
    if longest:
        text = f"a transaction is open for {longest.seconds:.0f} s: {longest.holder}"
        found[text] = longest.seconds > conf().long_transaction_seconds
    return [text for text, is_so in found.items() if is_so]
