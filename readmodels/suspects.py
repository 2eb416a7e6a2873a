"""The two looks of the drift check, which make it exact beside live writes.

What differs at the first look is only suspect: the table may have changed and not be projected yet, or the other way
round. Let the first look be a snapshot S, in which a build gives b, and after it a reading of the store, which gives a
value of version v, other than b. The second look is a later snapshot, which shows that no change visible in S is left
in the outbox, and after it a second reading of the store.

If the store then still has the very same value, and v is no higher than the version of S, it differs for certain. For
the value was built in a snapshot V, and snapshots of lower versions are contained in those of higher ones, so V is
contained in S. Since builds of V and S differ, S shows a change to the document that V does not. That change is gone
from the outbox, so it was acknowledged, hence the store had answered before for a snapshot that shows it: one that is
not contained in V, of a version above v. The version guard lets no version go down, so the store would have to be above
v by now, and it is not: the value is not what was built in V, or the change was never captured. The same holds where
there is no value at all. It does not matter whether the table has gone on and come back to the same state meanwhile.

A version above any that the second look's snapshot could be given is no snapshot's at all, so that differs too.

All of that is of one epoch, one trusted Redis and a bucket that was full and carried its marker throughout, with no
replay begun between. Where that does not hold, or the place has moved on, the second look is the first one of the next
pair. A document whose newest state is a dead letter is parked, which is no drift.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from django.db import DatabaseError, transaction
from django.db.backends.utils import CursorWrapper

from readmodels import buckets, building, deadletters, generations, isolation, snapshot
from readmodels.buckets import Buckets
from readmodels.building import Write
from readmodels.generations import Generation
from readmodels.plan import Plan
from readmodels.positions import INTEGER_WIDTH, row_key
from readmodels.snapshot import EPOCH_WIDTH, Snapshot
from readmodels.store import Store
from readmodels.stored import Found, Place, Stored, place_of
from readmodels.values import DocumentWrite, bucket_of

# What there is of some keys, built or only named.
Build = Callable[[CursorWrapper, Generation, Sequence[str]], list[Write]]


class Kind(StrEnum):
    """How a place differs from a fresh build."""

    MISSING = "missing"
    STALE = "stale"
    ORPHAN = "orphan"


class GenerationOver(Exception):
    """The generation has been given up: what is left of it may go at any moment."""


@dataclass(frozen=True)
class Seal:
    """What exactly was found in a place. `marker` is that of its bucket, '' where the reading can't be relied on."""

    version: str
    digest: str
    marker: str


@dataclass(frozen=True)
class Suspects:
    """Places that differed at one look, with what was found there; a later look judges them."""

    snapshot: str
    version: str
    store_id: str
    replays: tuple[int, ...]
    seals: dict[Place, Seal]
    looks: int = 1


@dataclass(frozen=True)
class Shown:
    """What one snapshot shows: what a fresh build gives in each place, None for nothing."""

    now: Snapshot
    buckets: Buckets
    builds: Mapping[Place, Place | None]
    unbuilt: frozenset[Place] = frozenset()  # there is something to build, and it can't be


@dataclass
class Verdict:
    """What is certain of some suspects, and what has to be looked at again."""

    differing: dict[Place, Kind] = field(default_factory=dict)
    seals: dict[Place, Seal] = field(default_factory=dict)
    parked: list[Place] = field(default_factory=list)
    again: Suspects | None = None


def suspects(store: Store, generation: Generation, shown: Shown, looks: int = 1) -> Suspects:
    """The places in which something else is stored than a fresh build gives."""
    found = Stored(store, generation).look(shown.builds)
    return _suspects(shown, found, [place for place in shown.builds if not _is_right(shown, found, place)], looks)


def judge(store: Store, generation: Generation, before: Suspects) -> Verdict:
    """What a second look makes of the suspects; one that can't be built is parked, or is looked at again."""
    with snapshot.reading() as (cursor, now):
        require_current(cursor, generation)
        applied = _is_applied(cursor, generation.plan, before.snapshot)
        kept_back = set(parked(cursor, generation, before.seals))
        shown = read(cursor, generation, now, before.seals)
    found = Stored(store, generation).look(before.seals)
    verdict = Verdict()
    again: list[Place] = []
    for place, seal in before.seals.items():
        if place not in shown.unbuilt and _is_right(shown, found, place):
            continue
        if place in kept_back:
            verdict.parked.append(place)
        elif (
            place not in shown.unbuilt
            and seal == _seal(shown, found, place)
            and _is_certain(before, seal, now, is_applied=applied)
        ):
            verdict.differing[place] = _kind(shown, found, place)
            verdict.seals[place] = seal
        else:
            again.append(place)
    if again:
        verdict.again = _suspects(shown, found, again, before.looks + 1)
    return verdict


def is_applied(before: Suspects, generation: Generation) -> bool:
    """Whether every change that the suspects' snapshot shows has been projected or parked, as far as the generation
    is concerned.
    """
    with snapshot.reading() as (cursor, _):
        return _is_applied(cursor, generation.plan, before.snapshot)


def read(cursor: CursorWrapper, generation: Generation, now: Snapshot, places: Collection[Place]) -> Shown:
    """What the cursor's snapshot shows of these places."""
    known = buckets.read(cursor)
    builds, unbuilt = _builds(cursor, generation, places, building.builds)
    return Shown(now, known, builds, frozenset(unbuilt))


def absent(cursor: CursorWrapper, generation: Generation, now: Snapshot, places: Collection[Place]) -> Shown:
    """Those of the places for which the cursor's snapshot shows nothing to build."""
    known = buckets.read(cursor)
    found, unbuilt = _builds(cursor, generation, places, building.present)
    return Shown(
        now, known, {place: None for place, is_there in found.items() if not is_there and place not in unbuilt}
    )


def require_current(cursor: CursorWrapper, generation: Generation) -> None:
    """Raises GenerationOver where changes are not projected into the generation any more."""
    if generation.id not in {each.id for each in generations.current(cursor)}:
        raise GenerationOver(f"{generation.plan.name} {generation.number}")


def parked(cursor: CursorWrapper, generation: Generation, places: Iterable[Place]) -> list[Place]:
    """Those of the places whose newest state is kept back by a dead letter."""
    plan = generation.plan
    cursor.execute(
        "SELECT key, before->>%s FROM readmodels_dead_letter WHERE read_model = %s AND generation = %s",
        [plan.key_column or "", plan.name, generation.number],
    )
    letters = cursor.fetchall()
    names = _names(cursor, plan, {key for key, _ in letters})
    if plan.kind == "document" and plan.key_column != plan.root_pk:
        names |= {before for _, before in letters if before is not None}
    return [place for place in places if _lookup(plan, place) in names]


def _names(cursor: CursorWrapper, plan: Plan, roots: set[str]) -> set[str]:
    """What places of these root keys are built from."""
    if not roots or plan.kind == "collection" or plan.key_column == plan.root_pk:
        return roots
    cursor.execute(plan.placed_sql, [sorted(roots)])
    return {key for [key] in cursor.fetchall()}


def _is_certain(before: Suspects, seal: Seal, now: Snapshot, *, is_applied: bool) -> bool:
    """Whether a place that differs, and has not moved since the look before, differs for good (see above)."""
    is_one_life = (
        bool(seal.marker)
        and before.version[:EPOCH_WIDTH] == now.version[:EPOCH_WIDTH]
        and before.store_id == now.store_id
        and set(now.replays) <= set(before.replays)
    )
    return is_one_life and ((is_applied and seal.version <= before.version) or seal.version > now.version)


def _is_applied(cursor: CursorWrapper, plan: Plan, shown_in: str) -> bool:
    cursor.execute(
        "SELECT NOT EXISTS (SELECT FROM readmodels_change c WHERE"
        " CASE WHEN read_models IS NULL THEN source = ANY(%s) ELSE %s = ANY(read_models) END AND EXISTS ("
        "  SELECT FROM unnest(COALESCE(writers, ARRAY[xid])) w"
        "  WHERE pg_visible_in_snapshot(w::text::xid8, %s::pg_snapshot)))",
        [sorted(plan.routes), plan.name, shown_in],
    )
    return bool(cursor.fetchone()[0])


def _builds(
    cursor: CursorWrapper, generation: Generation, places: Collection[Place], build: Build
) -> tuple[dict[Place, Place | None], set[Place]]:
    """(what a fresh build gives in each place, the places of which the build fails or would kill)."""
    plan = generation.plan
    deadly = _names(cursor, plan, deadletters.deadly(cursor, plan.name))
    wanted = {_lookup(plan, place) for place in places} - deadly
    written, failed = _built(cursor, generation, [key for key in wanted if _may_exist(plan, key)], build)
    built = {place_of(write): write for write in written}
    unbuilt = {place for place in places if _lookup(plan, place) in deadly.union(failed)}
    return {place: built.get(place) for place in places}, unbuilt


def _built(
    cursor: CursorWrapper, generation: Generation, keys: Sequence[str], build: Build
) -> tuple[list[Write], list[str]]:
    """(what is built of these keys, the keys that it fails for), found by halves."""
    try:
        with transaction.atomic():  # a savepoint: the snapshot outlives the error
            return build(cursor, generation, keys), []
    except DatabaseError as error:
        if isolation.is_transient(error):
            raise
    if len(keys) == 1:
        return [], list(keys)
    middle = len(keys) // 2
    first, second = (_built(cursor, generation, half, build) for half in (keys[:middle], keys[middle:]))
    return first[0] + second[0], first[1] + second[1]


def _lookup(plan: Plan, place: Place) -> str:
    """What a place is built from: the document's key, or the key of the row's root."""
    if isinstance(place, DocumentWrite):
        return place.key
    return row_key(place.row_id, is_integer=plan.is_integer_pk)


def _may_exist(plan: Plan, key: str) -> bool:
    """Whether a root could have the key; asking for one that is no integer would be an error."""
    is_integer = plan.is_integer_pk and plan.key_column in (None, plan.root_pk)
    digits = key.removeprefix("-")
    return not is_integer or (digits.isascii() and digits.isdigit() and len(digits) < INTEGER_WIDTH)


def _suspects(shown: Shown, found: Found, places: Iterable[Place], looks: int) -> Suspects:
    seals = {place: _seal(shown, found, place) for place in places}
    now = shown.now
    return Suspects(now.text, now.version, now.store_id, tuple(now.replays), seals, looks)


def _seal(shown: Shown, found: Found, place: Place) -> Seal:
    value, bucket = found.values[place], bucket_of(place)
    marker = found.markers.get(bucket, "")
    is_whole = (
        found.store_id == shown.now.store_id
        and bucket in shown.buckets.filled
        and marker == shown.buckets.markers[bucket]
    )
    return Seal(value.version, value.digest, marker if is_whole else "")


def _is_right(shown: Shown, found: Found, place: Place) -> bool:
    return found.values[place].shows(shown.builds[place])


def _kind(shown: Shown, found: Found, place: Place) -> Kind:
    if shown.builds[place] is None:
        return Kind.ORPHAN
    return Kind.STALE if found.values[place].is_served else Kind.MISSING
