"""The scrub: an audit that never ends, a small stretch at a time, so that wrong answers are found before somebody meets
one. What differs is mended and told of in the log.

A step waits for nothing: what differed at its look is judged by the next step of the same generation, some seconds
later. Where each generation's round is, PostgreSQL remembers, so processes may come and go. Beat asks for a step each
second on the queue of repairs, which nobody waits for; a relay has a thread for it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

import structlog
from django.db.models import F

from readmodels import drift, generations, mending, models, snapshot, suspects, walking
from readmodels.conf import conf
from readmodels.drift import LOOKS, Drift
from readmodels.generations import Generation
from readmodels.models import GenerationState
from readmodels.snapshot import Snapshot
from readmodels.store import Store
from readmodels.stored import Place
from readmodels.suspects import GenerationOver, Seal, Suspects
from readmodels.values import DocumentWrite, RowWrite
from readmodels.walking import Position

log = structlog.get_logger()

LEASE = "scrub"
LEASE_SECONDS = 10  # only saves double work; a step takes some 20 ms
OVER: dict[str, Any] = {"is_over": True}  # the position once only suspects are left of a round


@dataclass(frozen=True)
class Verified:
    """Since when a generation is known to be right: all that it held then was compared in one round since.

    `found` and `unsettled` are what differed in that round, and was mended, and what could not be told.
    """

    read_model: str
    generation: int
    verified_as_of: datetime | None
    found: int
    unsettled: int


def step(store: Store, rows: int | None = None) -> Drift | None:
    """The next stretch of the generation whose turn it is has been compared; what differs for certain is mended.

    None: there is nothing to do, no Redis is trusted, or another process is at it. Raises StoreUnavailable and the
    like, and is as before.
    """
    holder = uuid4().hex
    if not store.take_lease(LEASE, holder, LEASE_SECONDS):
        return None
    try:
        with snapshot.reading() as (cursor, now):
            live = {each.id: each for each in generations.current(cursor) if each.state == GenerationState.LIVE}
        # What a Redis that evicts has lost is no drift: it is filled anew once it is set right.
        turn = _turn(live) if now.store_id else None
        return None if turn is None else _step(store, live[turn.pk], turn, now, rows or conf().scrub_rows)
    except GenerationOver:
        return None
    finally:
        store.give_back(LEASE, holder)


def verified_as_of() -> list[Verified]:
    """Every live generation, by read model."""
    rows = models.Generation.objects.filter(state=GenerationState.LIVE).select_related("scrub").order_by("read_model")
    return [_verified(row, getattr(row, "scrub", None)) for row in rows]


def _verified(row: models.Generation, scrub: models.Scrub | None) -> Verified:
    if scrub is None:
        return Verified(row.read_model, row.number, None, 0, 0)
    return Verified(row.read_model, row.number, scrub.verified_as_of, scrub.last_found, scrub.last_unsettled)


def _turn(live: dict[int, Generation]) -> models.Scrub | None:
    """The row of the generation that has waited longest; a new one comes first."""
    known = models.Scrub.objects.filter(pk__in=live)
    if missing := live.keys() - set(known.values_list("pk", flat=True)):
        models.Scrub.objects.bulk_create([models.Scrub(pk=id) for id in missing], ignore_conflicts=True)
    return known.order_by(F("stepped_at").asc(nulls_first=True), "pk").first()


def _step(store: Store, generation: Generation, row: models.Scrub, now: Snapshot, rows: int) -> Drift:
    found = Drift(generation.plan.name, generation.number)
    # Now, so that one at which a step fails again and again holds up no other.
    row.stepped_at = now.at
    row.save(update_fields=["stepped_at"])
    if row.store_id != now.store_id or row.position is None:
        # A scan can't be taken up on another Redis: its keys lie in another order there.
        row.position, row.suspects, row.store_id = asdict(Position()), [], now.store_id
        row.began_at, row.found, row.unsettled = now.at, 0, 0
    left: list[Suspects] = []
    for before in [_as_suspects(generation, each) for each in row.suspects]:
        left += _judge(store, generation, before, found)
    if row.position != OVER:
        left += _go_on(store, generation, row, rows, found)
    row.suspects = [_as_data(each) for each in left]
    row.found += found.total
    row.unsettled += len(found.unsettled)
    if row.position == OVER and not left:
        row.position, row.verified_as_of = None, row.began_at
        row.last_found, row.last_unsettled = row.found, row.unsettled
        log.debug("scrubbed", read_model=found.read_model, found=row.found, unsettled=row.unsettled)
    if found.total:
        drift.tell(found)
    row.save()
    return found


def _judge(store: Store, generation: Generation, before: Suspects, found: Drift) -> list[Suspects]:
    """What is left to be looked at again."""
    verdict = suspects.judge(store, generation, before)
    found.take(verdict)
    if verdict.seals:
        found.mended += len(mending.mend(store, generation, verdict.seals))
    if verdict.again is None or verdict.again.looks < LOOKS:
        return [verdict.again] if verdict.again else []
    found.unsettled += map(drift.name, verdict.again.seals)
    return []


def _go_on(store: Store, generation: Generation, row: models.Scrub, rows: int, found: Drift) -> list[Suspects]:
    data = row.position or {}
    position = Position(**{**data, "partitions": tuple(data.get("partitions", ()))})
    stretch = walking.stretch(store, generation, position, rows)
    found.meet(stretch)
    if stretch.uneven:
        found.mended += len(mending.even_out(store, generation, stretch.uneven))
    row.position = OVER if stretch.following is None else asdict(stretch.following)
    return [stretch.suspects] if stretch.suspects.seals else []


def _as_data(before: Suspects) -> dict[str, Any]:
    seals = [[*_names(place), seal.version, seal.digest, seal.marker] for place, seal in before.seals.items()]
    return {**{name: getattr(before, name) for name in SUSPECTS}, "seals": seals}


SUSPECTS = ("snapshot", "version", "store_id", "replays", "looks")


def _as_suspects(generation: Generation, data: dict[str, Any]) -> Suspects:
    seals = {_place(generation, names): Seal(*seal) for *names, seal in ((*e[:-3], e[-3:]) for e in data["seals"])}
    return Suspects(**{**data, "replays": tuple(data["replays"]), "seals": seals})


def _names(place: Place) -> Sequence[str]:
    return (place.key,) if isinstance(place, DocumentWrite) else (place.partition, place.row_id)


def _place(generation: Generation, names: Sequence[str]) -> Place:
    if generation.plan.kind == "document":
        return DocumentWrite(generation.plan.name, generation.number, names[0], None)
    partition, row_id = names
    return RowWrite(generation.plan.name, generation.number, partition, row_id)
