"""What the buckets say of the read models, put there by hand."""

import json
from collections.abc import Iterable
from typing import Any

from readmodels import buckets, consistency, generations, keys, snapshot
from readmodels.store import Store


def say(store: Store, only: Iterable[int] = range(keys.BUCKETS), seconds_ago: float = 0, **entries: Any) -> float:
    """The buckets' progress is that of now, or as it was so long ago, but for these entries; returns its time."""
    with snapshot.reading() as (cursor, now):
        markers = buckets.read(cursor).markers
        data = json.loads(consistency.progress(cursor, now, generations.current(cursor), []))
    data |= {"at": data["at"] - seconds_ago, **entries}
    store.put_progress(only, markers, now.version, now.store_id, json.dumps(data))
    return float(data["at"])
