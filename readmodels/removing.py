"""Erasure, step 4: what was found is removed, whatever it was doing there.

In a generation that is current the place gets what a fresh build gives; what that still shows is somebody else's by
now (an address may be registered again), and stays. Elsewhere it goes as it is. A tombstone whose name holds what was
looked for must outlive the attempts that it keeps out; it expires as soon as the longest of them is over.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

from django.db import connection

from readmodels import generations, keys, mending
from readmodels.conf import conf
from readmodels.generations import Generation
from readmodels.models import GIVEN_UP
from readmodels.searching import Hit
from readmodels.store import Store
from readmodels.stored import Place, Stored
from readmodels.suspects import GenerationOver, Seal
from readmodels.values import Call, DocumentWrite, RowWrite

NAME = re.compile(r"rm:\{b(\d{3})\}:([^:]+):(\d+):(.*)", re.DOTALL)
PART = re.compile(r"(.*):(rows|index|measures|tombstones)", re.DOTALL)

Registered = Mapping[tuple[str, int], Generation]


def registered() -> Registered:
    """Every generation that there is, by read model and number."""
    with connection.cursor() as cursor:
        return {(each.plan.name, each.number): each for each in generations.every(cursor)}


def generation_of(key: str, known: Registered) -> Generation | None:
    """The generation that a key of Redis belongs to; None: to none that there is."""
    found = NAME.fullmatch(key)
    return known.get((found[2], int(found[3]))) if found else None


def is_served(key: str, known: Registered) -> bool:
    """Whether a key is the engine's own, or of a generation that changes are projected into."""
    generation = generation_of(key, known)
    return not NAME.fullmatch(key) or (generation is not None and generation.state not in GIVEN_UP)


def remove(store: Store, hits: Sequence[Hit], known: Registered) -> dict[str, int]:
    """Each hit is gone, or is what a fresh build gives, or expires; returns how many there were, by place."""
    found: dict[str, int] = {}
    places: dict[int, dict[Place, None]] = defaultdict(dict)
    uneven: dict[int, dict[str, None]] = defaultdict(dict)
    for hit in hits:
        name = place_name(hit.key, known)
        found[name] = found.get(name, 0) + 1
        generation = generation_of(hit.key, known)
        if hit.is_name and hit.key.endswith(":recent"):  # whoever follows the partition is told to read it anew
            store.ask([("UNLINK", hit.key)])
            continue
        if generation is None or generation.state in GIVEN_UP or generation.plan.is_newer:
            if not is_served(hit.key, known):
                _take_out(store, hit)
            continue
        place, partition = _place(generation, hit)
        if place:
            places[generation.id][place] = None
        if partition is not None:
            uneven[generation.id][partition] = None
    # Rows first: index and measures are what their rows say.
    for generation in known.values():
        _mend(store, generation, list(places[generation.id]))
        if generation.id in uneven:
            mending.even_out(store, generation, list(uneven[generation.id]))
    # Last: what was just found to be gone is a tombstone now.
    store.run([call for hit in hits if hit.is_name for call in _shortened(hit.key)])
    return found


def place_name(key: str, known: Registered) -> str:
    """How the place of a key is named in a receipt: never by the key, which may say who it was."""
    found = NAME.fullmatch(key)
    if not found:
        return "other keys of Redis"
    generation = generation_of(key, known)
    return f"{found[2]} {found[3]} ({generation.state if generation else 'gone'})"


def _place(generation: Generation, hit: Hit) -> tuple[Place | None, str | None]:
    """(the document or row that a hit lies in, the partition of which it is index or measures)."""
    found = NAME.fullmatch(hit.key)
    name, number, rest = generation.plan.name, generation.number, found[4] if found else ""
    if generation.plan.kind == "document":
        return DocumentWrite(name, number, rest, None), None
    part = PART.fullmatch(rest)
    if part is None or hit.part is None:
        return None, None
    if part[2] == "rows":
        return RowWrite(name, number, part[1], hit.part), None
    return None, part[1] if part[2] in ("index", "measures") else None


def _mend(store: Store, generation: Generation, places: list[Place]) -> None:
    try:
        for start in range(0, len(places), conf().batch_rows):
            found = Stored(store, generation).look(places[start : start + conf().batch_rows]).values
            seals = {place: Seal(value.version, value.digest, "") for place, value in found.items()}
            mending.mend(store, generation, seals)
    except GenerationOver:  # it is looked at again, as one that is given up
        return


def _take_out(store: Store, hit: Hit) -> None:
    """The hit is gone; a tombstone, and what stands under the name of one, is left to expire."""
    found = NAME.fullmatch(hit.key)
    part = PART.fullmatch(found[4]) if found else None
    if hit.is_name:
        if _is_tombstone(store, hit.key, is_partition=part is not None):
            return
        store.ask([("UNLINK", hit.key)])
    elif part is None or hit.part is None:
        store.ask([("UNLINK", hit.key)])
    else:
        store.ask([("HDEL" if part[2] in ("rows", "measures") else "ZREM", hit.key, hit.part)])


def _is_tombstone(store: Store, key: str, *, is_partition: bool) -> bool:
    if is_partition:
        stem = key.rpartition(":")[0]
        live, gone = store.ask([("HLEN", f"{stem}:rows"), ("ZCARD", f"{stem}:tombstones")])[1]
        return bool(live == gone and not key.endswith((":index", ":measures")))
    [value] = store.ask([("GET", key)])[1]
    return value is None or bytes(value).find(b"\n") == len(value) - 1


def _shortened(key: str) -> list[Call]:
    """The calls by which tombstones of a name expire once no attempt is left that they keep out."""
    limit_ms = (conf().attempt_seconds + 1) * 1000
    found = NAME.fullmatch(key)
    if not found:
        return []
    part = PART.fullmatch(found[4])
    if part is None:
        return [("shorten", [key], [limit_ms])]
    if part[2] != "tombstones":
        return []
    at = keys.partition(found[2], int(found[3]), part[1])
    entry = f"{found[2]}:{found[3]}:{part[1]}"
    return [("shorten_rows", [at.tombstones, keys.expiring(at.bucket)], [limit_ms, entry])]
