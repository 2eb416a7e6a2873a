"""For tests of read models on real servers: start from nothing, project what is pending, assert the law.

The law of every read model: after any sequence of writes, what is projected equals what a rebuild from PostgreSQL
gives.
"""

from django.apps import apps
from django.db import connection

from readmodels import buckets, drift, generations, models, outbox, projector, rebuild, sweeping
from readmodels.errors import AttemptTooOld, EpochMoved, StoreUnavailable
from readmodels.store import Store

# What an attempt may end with under faults; the next drain does it again.
TRANSIENT = (EpochMoved, StoreUnavailable, AttemptTooOld)
# What a reset leaves alone: who may do what, and the engine's own standing.
KEPT = {models.Bucket, models.Clock, models.Generation, models.Build, models.Heartbeat}


def reset(store: Store) -> None:
    """The write model is empty, Redis holds empty buckets, and every declared read model has a live generation."""
    generations.deploy()
    tables = [model._meta.db_table for model in apps.get_models(include_auto_created=True) if _is_emptied(model)]
    with connection.cursor() as cursor:
        # The triggers are ENABLE ALWAYS, so their TRUNCATE is captured; the outbox is emptied after.
        cursor.execute(f"TRUNCATE {', '.join(sorted(tables))} RESTART IDENTITY CASCADE")
        cursor.execute("TRUNCATE readmodels_change RESTART IDENTITY")
        cursor.execute("DELETE FROM readmodels_acknowledged")
    sweeping.beat(store)
    store.begin_buckets(dict(enumerate(buckets.now().markers)))
    generations.drop_retired(store, after_seconds=0)
    if sweeping.is_repair_due(store):
        rebuild.repair(store)
    sweeping.beat(store)  # from here on what was just filled need not be filled again
    sweeping.publish_progress(store)


def drain(store: Store) -> int:
    """Every committed change is projected, lost or new parts are built; returns the number of changes."""
    projected = sweeping.sweep(
        store,
        ask_for_repair=lambda: rebuild.repair(store),
        ask_for_bulk=lambda: projector.settle(store, outbox.Lane.BULK),
    )
    while more := projector.settle(store):  # a drain of many changes gives way
        projected += more
    if generations.are_due():
        # A new generation waits for the changes of before it, which came after the repair in this sweep.
        rebuild.repair(store)
        sweeping.publish_progress(store)
    return projected


def assert_law(store: Store) -> None:
    """Nothing is pending, and no document, row, index or measure differs from a fresh build."""
    backlog = outbox.backlog_rows()
    assert backlog == 0, f"{backlog} changes are not projected"
    for found in drift.verify(store):
        assert found.is_clean, f"{found}"


def _is_emptied(model: type) -> bool:
    meta = model._meta  # type: ignore[attr-defined]
    return (
        meta.managed
        and not meta.proxy
        and model not in KEPT
        and meta.app_label not in ("contenttypes", "sites")
        and meta.db_table not in ("auth_permission",)
    )
