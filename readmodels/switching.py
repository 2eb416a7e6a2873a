"""Which generation queries see: the change to a new one, the change back, and giving up one that is being built.

Each is one short transaction and then one write of all pointers, so readers see one generation or the other.
"""

import structlog
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from readmodels import generations, models
from readmodels.errors import CannotSwitch
from readmodels.generations import Generation
from readmodels.models import GIVEN_UP, PREVIOUS, GenerationState
from readmodels.plan import FORMAT, from_data
from readmodels.store import Store

log = structlog.get_logger()


def begin(read_model: str) -> int:
    """The live generation's plan is to be built anew, unless something of the read model is; returns the number.

    Raises CannotSwitch where nothing was ever deployed.
    """
    rows = models.Generation.objects.filter(read_model=read_model)
    if not rows.filter(state=GenerationState.BUILDING).exists():
        live = rows.filter(state=GenerationState.LIVE).first()
        if live is None:
            raise CannotSwitch(f"{read_model} has no live generation; deploy it first")
        generations.register(from_data(live.plan), live.fingerprint)
    return int(rows.filter(state=GenerationState.BUILDING).latest("number").number)


def state(read_model: str, number: int) -> str:
    """The state of a generation; 'gone' where there is no trace of it."""
    row = models.Generation.objects.filter(read_model=read_model, number=number).first()
    return str(row.state) if row else "gone"


def switch_to_built(built: Generation) -> None:
    """The generation just built is the live one, once the transaction commits; the one before is kept, or given up.

    One of the same fingerprint is of no use to anybody: its successor is what it should be.
    """
    live = models.Generation.objects.filter(read_model=built.plan.name, state=GenerationState.LIVE)
    generations.give_up(live.filter(fingerprint=built.fingerprint), GenerationState.BROKEN)
    generations.make_live(models.Generation.objects.get(id=built.id))


def is_settled(built: Generation) -> bool:
    """Whether every change that was made before the generation was registered is projected, or parked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT NOT EXISTS (SELECT FROM readmodels_change c, readmodels_build b WHERE b.generation_id = %s"
            " AND key IS NOT NULL AND pg_visible_in_snapshot(c.xid::text::xid8, b.registered::pg_snapshot))",
            [built.id],
        )
        return bool(cursor.fetchone()[0])


def rollback(store: Store, read_model: str) -> int:
    """Queries see the generation before the live one again, within one write to Redis; returns its number.

    The live one stays current and is served to nobody; `switch` goes forward to it. Raises CannotSwitch.
    """
    with transaction.atomic():
        live = _locked(read_model).filter(state=GenerationState.LIVE).first()
        before = _locked(read_model).filter(state=GenerationState.RETIRED).order_by("-retired_at", "-number").first()
        if live is None or before is None:
            raise CannotSwitch(f"there is nothing to roll {read_model} back to: {_why_none(read_model)}")
        generations.make_live(before, GenerationState.WITHDRAWN)
    generations.point(store)
    log.warning("rolled_back", read_model=read_model, generation=before.number, withdrawn=live.number)
    return before.number


def switch(store: Store, read_model: str, number: int) -> None:
    """Queries see this generation, which is current but not live. Raises CannotSwitch with the reason."""
    with transaction.atomic():
        found = _locked(read_model).filter(number=number).first()
        if found is None or found.state not in (*PREVIOUS, GenerationState.LIVE):
            state = f"is {found.state}" if found else "does not exist"
            raise CannotSwitch(f"generation {number} of {read_model} {state}; {_choices(read_model)}")
        if found.state == GenerationState.LIVE:
            return
        generations.make_live(found)
    generations.point(store)


def cancel(read_model: str) -> int:
    """What is being built of the read model is given up, and its builder stops at its next range; returns how many.

    So is what newer code has left behind after it was taken back: nobody is there to keep it current.
    """
    is_left = Q(state__in=PREVIOUS, format__gt=FORMAT)
    rows = models.Generation.objects.filter(Q(state=GenerationState.BUILDING) | is_left, read_model=read_model)
    cancelled = generations.give_up(rows, GenerationState.CANCELLED)
    log.info("rebuild_cancelled", read_model=read_model, generations=cancelled)
    return cancelled


def _locked(read_model: str) -> "QuerySet[models.Generation]":
    return models.Generation.objects.select_for_update().filter(read_model=read_model)


def _why_none(read_model: str) -> str:
    broken = models.Generation.objects.filter(read_model=read_model, state=GenerationState.BROKEN).order_by("-number")
    if broken.exists():
        return f"generation {broken[0].number} is broken, a column or table that it reads is not what it was"
    return "none that can still be built was switched away from within RETIRED_SECONDS"


def _choices(read_model: str) -> str:
    rows = models.Generation.objects.filter(read_model=read_model).exclude(state__in=GIVEN_UP).order_by("number")
    return f"there are {', '.join(f'{row.number} ({row.state})' for row in rows) or 'none'}"
