"""Generations: full copies of a read model, registered as data, and the pointers that say which one queries see."""

import json
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from readmodels import buckets, capture, models, snapshot
from readmodels.compiler import compile_plan
from readmodels.conf import conf
from readmodels.declare import declared
from readmodels.fingerprint import fingerprint
from readmodels.models import GenerationState
from readmodels.plan import Plan, from_data
from readmodels.store import Store

log = structlog.get_logger()


@dataclass(frozen=True)
class Generation:
    """One generation as the projector needs it."""

    id: int
    number: int
    state: str
    fingerprint: str
    plan: Plan


_plans: dict[int, Plan] = {}  # a generation's plan never changes


def current(cursor: CursorWrapper) -> list[Generation]:
    """The generations that changes are projected into, as the cursor's snapshot shows them: all that can be built."""
    cursor.execute(
        "SELECT id, number, state, fingerprint FROM readmodels_generation WHERE state <> 'broken' ORDER BY id"
    )
    rows = cursor.fetchall()
    unknown = [id for id, *_ in rows if id not in _plans]
    if unknown:
        cursor.execute("SELECT id, plan::text FROM readmodels_generation WHERE id = ANY(%s)", [unknown])
        _plans.update({id: from_data(json.loads(plan)) for id, plan in cursor.fetchall()})
    return [Generation(id, number, state, print, _plans[id]) for id, number, state, print in rows]


def are_due() -> bool:
    """Whether a generation is to be built, or to be dropped."""
    return models.Generation.objects.filter(Q(state=GenerationState.BUILDING) | _is_droppable()).exists()


def deploy() -> list[str]:
    """Every declaration has a generation of its fingerprint, the triggers capture for all; returns the new ones' names.

    Triggers go first, in a transaction of their own: once a generation is registered, no change to it may be missed.
    The new generations are built by the next repair.
    """
    snapshot.start_clock()
    buckets.create_missing()
    plans = {plan.name: plan for plan in declared_plans()}
    _mark_broken()
    prints = {name: fingerprint(read_model) for name, read_model in declared().items()}
    changed = capture.install(captured_plans())
    known = {(row.read_model, row.fingerprint) for row in _rows()}
    new = [name for name in plans if (name, prints[name]) not in known]
    for name in new:
        _register(plans[name], prints[name])
    if changed or new:
        log.info("deployed", triggers=len(changed), generations=new)
    return new


def declared_plans() -> list[Plan]:
    """The plans of all declarations, compiled now."""
    return [compile_plan(read_model) for read_model in declared().values()]


def captured_plans() -> list[Plan]:
    """What the triggers must cover: every declaration, and every generation that can still be built."""
    rows = models.Generation.objects.exclude(state=GenerationState.BROKEN)
    return [*(from_data(row.plan) for row in rows), *declared_plans()]


@transaction.atomic
def replace(generation: Generation) -> None:
    """A new generation of the same plan is registered, to be built from nothing (what a TRUNCATE asks for).

    One that was being built is given up: it may hold what is no longer there.
    """
    _retire(models.Generation.objects.filter(read_model=generation.plan.name, state=GenerationState.BUILDING))
    _register(generation.plan, generation.fingerprint)


def switch(building: Generation) -> None:
    """This generation is the live one, once the transaction commits; the one before it is retired."""
    rows = models.Generation.objects
    _retire(rows.filter(read_model=building.plan.name, state=GenerationState.LIVE))
    rows.filter(id=building.id).update(state=GenerationState.LIVE)
    log.info("switched", read_model=building.plan.name, generation=building.number)


def point(store: Store) -> None:
    """The pointers in Redis are those that PostgreSQL has."""
    if store.pointers() != pointers():
        store.point(pointers())


def pointers() -> dict[str, int]:
    """Generation numbers by read model, and by read model and fingerprint, of the live generations."""
    live = models.Generation.objects.filter(state=GenerationState.LIVE)
    return {name: row.number for row in live for name in (row.read_model, pointer(row.read_model, row.fingerprint))}


def pointer(read_model: str, print: str) -> str:
    """The name under which a fingerprint's generation is pointed to."""
    return f"{read_model}/{print}"


def drop_retired(store: Store, after_seconds: int | None = None) -> None:
    """Nothing is left of the generations that were switched away from so long ago that no reader holds their number."""
    for row in models.Generation.objects.filter(_is_droppable(after_seconds)):
        store.drop(row.read_model, row.number)
        row.delete()


def _retire(rows: "QuerySet[models.Generation]") -> None:
    rows.update(state=GenerationState.RETIRED, retired_at=Now())


def _is_droppable(after_seconds: int | None = None) -> Q:
    age = timedelta(seconds=conf().retired_seconds if after_seconds is None else after_seconds)
    return Q(state__in=(GenerationState.RETIRED, GenerationState.BROKEN), retired_at__lte=Now() - age)


def _register(plan: Plan, print: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE readmodels_generation IN SHARE ROW EXCLUSIVE MODE")
        numbers = models.Generation.objects.filter(read_model=plan.name).values_list("number", flat=True)
        models.Generation.objects.create(
            read_model=plan.name,
            number=max(numbers, default=0) + 1,
            fingerprint=print,
            plan=plan.as_data(),
            state=GenerationState.BUILDING,
        )


def _rows() -> list[models.Generation]:
    return list(models.Generation.objects.filter(state__in=(GenerationState.BUILDING, GenerationState.LIVE)))


def _mark_broken() -> None:
    """A generation that reads a column which is gone is broken: neither triggers nor projector may name the column."""
    columns = capture.columns()
    for row in models.Generation.objects.exclude(state=GenerationState.BROKEN):
        read = {(table, name) for table, names in from_data(row.plan).columns().items() for name in names}
        if read - columns:
            log.warning("generation_broken", read_model=row.read_model, missing=sorted(read - columns))
            models.Generation.objects.filter(id=row.id).update(state=GenerationState.BROKEN, retired_at=Now())
