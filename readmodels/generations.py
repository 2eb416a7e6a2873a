"""Generations: full copies of a read model, registered as data, and the pointers that say which one queries see."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache, partial

import structlog
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now

from readmodels import buckets, capture, models, snapshot, together
from readmodels.compiler import compile_plan
from readmodels.conf import conf
from readmodels.declare import declared
from readmodels.fingerprint import fingerprint
from readmodels.models import GIVEN_UP, PREVIOUS, GenerationState
from readmodels.plan import FORMAT, Plan, from_data
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
    """The generations that changes are projected into, as the cursor's snapshot shows them: all that can be built.

    Those that only newer code can build are not among them.
    """
    [[[text]]] = together.ask(cursor, [ASKING_CURRENT])
    return current_in(cursor, text)


def current_in(cursor: CursorWrapper, text: str | None) -> list[Generation]:
    """Those that CURRENT has found in the cursor's snapshot."""
    return [generation for generation in _known(cursor, text) if not generation.plan.is_newer]


def every(cursor: CursorWrapper) -> list[Generation]:
    """All that Redis may hold anything of, as the cursor's snapshot shows them: also given up, also of newer code."""
    [[[text]]] = together.ask(cursor, [together.kept(EVERY)])
    return _known(cursor, text)


EVERY = "SELECT json_agg(json_build_array(id, number, state, fingerprint) ORDER BY id)::text FROM readmodels_generation"
CURRENT = f"{EVERY} WHERE state <> ALL('{{{','.join(GIVEN_UP)}}}')"
ASKING_CURRENT = together.kept(CURRENT)


@lru_cache(maxsize=8)  # they are the same until the next deployment
def _parsed(text: str | None) -> list[tuple[int, int, str, str]]:
    return [tuple(each) for each in json.loads(text or "[]")]


def _known(cursor: CursorWrapper, text: str | None) -> list[Generation]:
    rows = _parsed(text)
    unknown = [id for id, *_ in rows if id not in _plans]
    if unknown:
        cursor.execute("SELECT id, plan::text FROM readmodels_generation WHERE id = ANY(%s)", [unknown])
        _plans.update({id: from_data(json.loads(plan)) for id, plan in cursor.fetchall()})
    return [Generation(id, number, state, print, _plans[id]) for id, number, state, print in rows]


def are_newer(*, unbuilt: bool = True) -> bool:
    """Whether there is a generation, not given up, that only newer code can build; `unbuilt` ones count as well."""
    ignored = GIVEN_UP if unbuilt else (*GIVEN_UP, GenerationState.BUILDING)
    return models.Generation.objects.filter(format__gt=FORMAT).exclude(state__in=ignored).exists()


def are_due() -> bool:
    """Whether a generation is to be built, or to be dropped."""
    due = Q(state=GenerationState.BUILDING, format__lte=FORMAT) | _is_over() | _is_droppable()
    return models.Generation.objects.filter(due).exists()


def deploy() -> list[str]:
    """Every declaration has a generation of its fingerprint, the triggers capture for all; returns the new ones' names.

    Triggers go first, one table after the other: once a generation is registered, no change to it may be missed.
    The new generations are built by the next repair. One that was switched away from is gone back to, since its code is
    deployed again; one that was rolled back from by hand is left alone.
    """
    snapshot.start_clock()
    buckets.create_missing()
    plans = declared_plans()
    _mark_broken()
    prints = {name: fingerprint(read_model) for name, read_model in declared().items()}
    changed = capture.install(captured_plans(plans))
    new = undeployed()
    for plan in plans:
        if plan.name in new:
            register(plan, prints[plan.name])
    for row in models.Generation.objects.filter(state=GenerationState.RETIRED):
        if prints.get(row.read_model) == row.fingerprint:
            make_live(row)
    if changed or new:
        log.info("deployed", triggers=len(changed), generations=new)
    return new


def undeployed() -> list[str]:
    """The declared read models that have no generation of their fingerprint yet."""
    known = set(models.Generation.objects.exclude(state__in=GIVEN_UP).values_list("read_model", "fingerprint"))
    return [name for name, read_model in declared().items() if (name, fingerprint(read_model)) not in known]


def missing_triggers() -> list[str]:
    """The names of the triggers that a deployment would put."""
    return capture.missing(captured_plans(declared_plans()))


def declared_plans() -> list[Plan]:
    """The plans of all declarations, compiled now."""
    return [compile_plan(read_model) for read_model in declared().values()]


def captured_plans(declared: Sequence[Plan]) -> list[Plan]:
    """What the triggers must cover: these plans of all declarations, and every generation that can still be built."""
    rows = models.Generation.objects.exclude(state__in=GIVEN_UP)
    return [*(from_data(row.plan) for row in rows), *declared]


@transaction.atomic
def replace(generation: Generation) -> None:
    """A new generation of the same plan is registered, to be built from nothing (what a TRUNCATE asks for).

    All but the live one are given up: they may hold what is no longer there.
    """
    others = models.Generation.objects.filter(read_model=generation.plan.name).exclude(state=GenerationState.LIVE)
    give_up(others.exclude(state__in=GIVEN_UP), GenerationState.BROKEN)
    register(generation.plan, generation.fingerprint)


@transaction.atomic
def make_live(row: models.Generation, before: GenerationState = GenerationState.RETIRED) -> None:
    """The generation, which is current, is the live one, and the one before is in this state."""
    live = models.Generation.objects.filter(read_model=row.read_model, state=GenerationState.LIVE)
    give_up(live, before)
    models.Generation.objects.filter(id=row.id).update(state=GenerationState.LIVE, retired_at=None)
    log.info("switched", read_model=row.read_model, generation=row.number, before=before.value)


def give_up(rows: "QuerySet[models.Generation]", state: GenerationState) -> int:
    """These generations are live no more, and in time dropped; returns how many.

    Where nothing is projected into them any more, their dead letters are gone: nothing would ever do away with those,
    and whoever reads the read model would be told that something of it is parked.
    """
    if state in GIVEN_UP:
        for row in rows:
            _forget_parked(row)
    return rows.update(state=state, retired_at=Now())


def point(store: Store) -> None:
    """The pointers in Redis are those that PostgreSQL has."""
    if store.pointers() != pointers():
        store.point(pointers())


def pointers() -> dict[str, int]:
    """Generation numbers by read model, and by read model and fingerprint.

    The live one by its name; by its fingerprint also the newest that was switched away from, for code of before.
    """
    # Who still holds the number of one that is not pointed to any more is served what is current for a while yet.
    kept = Q(state=GenerationState.RETIRED, retired_at__gt=_ago(conf().retired_seconds))
    served = models.Generation.objects.filter(Q(state=GenerationState.LIVE) | kept)
    rows = sorted(served, key=lambda row: (row.state == GenerationState.LIVE, row.number))
    live = {row.read_model: row.number for row in rows if row.state == GenerationState.LIVE}
    return live | {pointer(row.read_model, row.fingerprint): row.number for row in rows}


def pointer(read_model: str, print: str) -> str:
    """The name under which a fingerprint's generation is pointed to."""
    return f"{read_model}/{print}"


def drop_retired(
    store: Store, after_seconds: int | None = None, on_batch: Callable[[str], object] = lambda name: None
) -> None:
    """Nothing is left of the generations that nobody needs any more; `after_seconds` in place of both settings.

    `on_batch` is called with the read model's name again and again; what it raises ends it, and the next one goes on.
    """
    # First nothing is projected into it any more, or what is dropped would partly come back.
    give_up(models.Generation.objects.filter(_is_over(after_seconds)), GenerationState.OVER)
    for row in models.Generation.objects.filter(_is_droppable(after_seconds)):
        store.drop(row.read_model, row.number, partial(on_batch, row.read_model))
        models.BuildRange.objects.filter(generation_id=row.id).delete()
        models.Build.objects.filter(generation_id=row.id).delete()
        _forget_parked(row)  # by an attempt that was under way
        row.delete()


def _forget_parked(row: models.Generation) -> None:
    models.DeadLetter.objects.filter(read_model=row.read_model, generation=row.number).delete()


def _is_over(after_seconds: int | None = None) -> Q:
    """Switched away from for longer than one may go back, and than a reader holds its number after that."""
    longest = conf().retired_seconds + 10 * conf().pointer_seconds
    return Q(state__in=PREVIOUS, retired_at__lte=_ago(longest, after_seconds))


def _is_droppable(after_seconds: int | None = None) -> Q:
    """Given up for longer than a reader holds its number, and than an attempt may take that still projects into it."""
    longest = max(10 * conf().pointer_seconds, conf().attempt_seconds)
    return Q(state__in=GIVEN_UP, retired_at__lte=_ago(longest, after_seconds))


def _ago(seconds: float, instead: int | None = None) -> CombinedExpression:
    return Now() - timedelta(seconds=seconds if instead is None else instead)


NEXT_NUMBER = """
    INSERT INTO readmodels_numbering AS n VALUES (%s, 1)
    ON CONFLICT (read_model) DO UPDATE SET number = n.number + 1 RETURNING number"""


def register(plan: Plan, print: str) -> None:
    """A generation of the plan is to be built; from here on changes are projected into it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK TABLE readmodels_generation IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(NEXT_NUMBER, [plan.name])
        made = models.Generation.objects.create(
            read_model=plan.name,
            number=cursor.fetchone()[0],
            fingerprint=print,
            plan=plan.as_data(),
            format=plan.format,
            state=GenerationState.BUILDING,
        )
        cursor.execute(
            "INSERT INTO readmodels_build (generation_id, registered, epoch, expected_rows, rows, target)"
            " SELECT %s, pg_current_snapshot()::text, epoch, 0, 0, '' FROM readmodels_clock",
            [made.id],
        )


def _mark_broken() -> None:
    """A generation that reads a column which is gone is broken: neither triggers nor projector may name the column."""
    columns = capture.columns()
    for row in models.Generation.objects.exclude(state__in=GIVEN_UP):
        read = {(table, name) for table, names in from_data(row.plan).columns().items() for name in names}
        if read - columns:
            log.warning("generation_broken", read_model=row.read_model, missing=sorted(read - columns))
            give_up(models.Generation.objects.filter(id=row.id), GenerationState.BROKEN)
