"""The law of every read model: after any sequence of writes, what is projected equals what a rebuild gives."""

from readmodels import drift, generations, outbox, projector, rebuild, snapshot, sweeping
from readmodels.declare import ReadModel
from readmodels.drift import Drift
from readmodels.errors import AttemptTooOld, EpochMoved, StoreUnavailable
from readmodels.models import GenerationState
from readmodels.store import Store

# What an attempt may end with under faults; the next drain does it again.
TRANSIENT = (EpochMoved, StoreUnavailable, AttemptTooOld)

KINDS = ("missing", "stale", "orphan", "uneven", "parked", "unsettled")


def drain(store: Store) -> int:
    """Every committed change is projected, lost or new parts are built; returns the number of changes."""
    projected = sweeping.sweep(
        store,
        ask_for_repair=lambda: rebuild.repair(store),
        ask_for_bulk=lambda: projector.settle(store, outbox.Lane.BULK),
    )
    if generations.are_due():
        # A new generation waits for the changes of before it, which came after the repair in this sweep.
        rebuild.repair(store)
        sweeping.publish_progress(store)
    return projected


def assert_law(store: Store, *read_models: type[ReadModel]) -> None:
    """Nothing is pending, and no document, row, index or measure differs from a fresh build.

    Of these read models; of all where none is named.
    """
    backlog = outbox.backlog_rows()
    assert backlog == 0, f"{backlog} changes are not projected"
    with snapshot.reading() as (cursor, _):
        found = generations.current(cursor)
    live = {each.plan.name: each for each in found if each.state == GenerationState.LIVE}
    for name in [each.__name__ for each in read_models] or live:
        assert name in live, f"{name} is not served: no build of it was like a fresh one"
        audited = drift.verify_generation(store, live[name])
        assert audited.is_clean, _told(audited)


def _told(found: Drift) -> str:
    kinds = {kind: getattr(found, kind) for kind in KINDS}
    differing = [f"  {kind}: {', '.join(names)}" for kind, names in kinds.items() if names]
    return "\n".join([f"{found.read_model} is not what a fresh build gives:", *differing])
