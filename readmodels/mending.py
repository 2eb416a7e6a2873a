"""Mends exactly what differs, beside live writes: what a fresh build gives is written under the version guard, so that
nothing newer is replaced; index and measures of a partition are set to what its rows say, in one step.
"""

from collections.abc import Mapping, Sequence

import structlog
from django.db import connection

from readmodels import buckets, consistency, snapshot
from readmodels.buckets import Buckets
from readmodels.conf import conf
from readmodels.errors import WriteRefused
from readmodels.generations import Generation
from readmodels.snapshot import Snapshot
from readmodels.store import Store
from readmodels.stored import Place, Stored
from readmodels.suspects import Seal, read, require_current

log = structlog.get_logger()


def mend(store: Store, generation: Generation, seals: Mapping[Place, Seal]) -> list[Place]:
    """Each of these places, with what was found there, holds what a fresh build gives, or something newer.

    Returns those that do, as a last look finds them: Redis may refuse a value, and a row may have become unbuildable.
    """
    _raise_number()
    started_ms = store.now_ms()
    with snapshot.reading() as (cursor, now):
        require_current(cursor, generation)
        shown = read(cursor, generation, now, list(seals))
    stored = Stored(store, generation)
    # No guarded write would replace these; no snapshot can have given their version, so nothing newer is lost.
    ahead = {place: seal.digest for place, seal in seals.items() if seal.version >= now.version}
    stored.forget(ahead, shown.buckets.markers, now.store_id)
    writes = [build or place for place, build in shown.builds.items() if place not in shown.unbuilt]
    attempt = consistency.attempt(started_ms, now, shown.buckets.markers)
    for start in range(0, len(writes), conf().batch_rows):
        try:
            store.apply(attempt, writes[start : start + conf().batch_rows])
        except WriteRefused as error:  # the others of the batch are written
            log.error("not_mended", read_model=generation.plan.name, reason=str(error))
    values = stored.look(list(seals)).values
    return [
        place
        for place, value in values.items()
        if value.write is not None
        and (value.version > now.version or (value.version == now.version and value.shows(shown.builds[place])))
    ]


def even_out(store: Store, generation: Generation, partitions: Sequence[str]) -> list[str]:
    """Index and measures of these partitions are what their rows say; returns those where that is so now."""
    now, known = _buckets()
    stored = Stored(store, generation)
    try:
        stored.even_out(partitions, known.markers, now.store_id)
    except WriteRefused as error:
        log.error("not_mended", read_model=generation.plan.name, reason=str(error))
    uneven, unsettled = stored.uneven(partitions, known.markers)
    return [name for name in partitions if name not in uneven and name not in unsettled]


def _raise_number() -> None:
    """Snapshots from here on have a higher version than any before: a transaction of its own has ended.

    On a server where nobody writes, what is to be mended may carry the version of the snapshot that mends it.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_current_xact_id()")


def _buckets() -> tuple[Snapshot, Buckets]:
    with snapshot.reading() as (cursor, now):
        return now, buckets.read(cursor)
