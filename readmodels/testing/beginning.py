"""How a test begins: with nothing in the tables, and with read models that hold nothing and are served."""

from django.apps import apps
from django.db import connection

from readmodels import buckets, generations, limits, models, query, rebuild, sweeping
from readmodels.store import Store

# What a reset leaves alone: who may do what, and the engine's own standing.
KEPT = {models.Bucket, models.Clock, models.Generation, models.Numbering, models.Build, models.Heartbeat}


def reset(store: Store) -> None:
    """The write model is empty, Redis holds empty buckets, and every declared read model has a live generation."""
    assert not connection.in_atomic_block, (
        "the test runs in a transaction that never commits, so nothing would be projected:"
        " use the fixture `transactional_db`, the mark `django_db(transaction=True)` or a TransactionTestCase"
    )
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
    limits.patience.renew()
    query.reader.cache_clear()  # it may remember generations of the test before


def _is_emptied(model: type) -> bool:
    meta = model._meta  # type: ignore[attr-defined]
    return (
        meta.managed
        and not meta.proxy
        and model not in KEPT
        and meta.app_label not in ("contenttypes", "sites")
        and meta.db_table not in ("auth_permission",)
    )
