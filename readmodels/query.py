"""Step 7: reading, with or without a consistency token, from Redis alone."""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple, TypeVar, Unpack

from django.core import signing
from django.db.models import F, Value

from readmodels import consistency, store
from readmodels.building import facet_part
from readmodels.conf import conf
from readmodels.declare import Collection, Document, ReadModel
from readmodels.errors import CursorOver, NotBuilt, NotProjected, StoreLost, WrongCursor
from readmodels.fingerprint import fingerprint
from readmodels.store import Ready, Store
from readmodels.values import StoredPage
from readmodels.waiting import Freshness, Judge, Lack, Wish, progress_of, until_shown, worst

Key = str | int | date
T = TypeVar("T")


# What was read of a document: the progress of its bucket, and what is stored.
Seen = tuple[bytes | None, bytes | None]


class Answer(NamedTuple):
    """A document as stored; body None: there is none."""

    body: bytes | None
    freshness: Freshness

    @property
    def version(self) -> str:
        """Changes whenever the document may have."""
        return self.freshness.version


@dataclass(frozen=True)
class Page:
    """Rows of a partition as stored, in order, and the partition's measures by facet ('' for all rows) and name."""

    rows: list[bytes]
    next_cursor: str | None
    measures: dict[str, dict[str, int]]
    freshness: Freshness


class Reader:
    """Reads what queries are served from. Raises StoreUnavailable (also while a lost bucket is filled again),
    NotProjected before the first build, NotBuilt where a dead letter keeps back what may be the document, and NotYet
    where an answer doesn't show in time what is wished of it.
    """

    def __init__(
        self, store: Store, clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._clock = clock
        self._now = now
        # As stored, and the generations that were looked up by them.
        self._pointers: tuple[dict[str, int], dict[type[ReadModel], int]] = {}, {}
        self._pointers_until = -1.0

    def document(
        self,
        of: type[Document],
        key: Key,
        *,
        may_read: Callable[[bytes], bool] = lambda body: True,
        seen: Seen | None = None,
        **wish: Unpack[Wish],
    ) -> Answer:
        """The document of a key; its body is None where there is none. The first look is at what was `seen`, if given.

        What may not be read (`may_read` is called with the body at each look) is judged as if there were none, so that
        not even the time of the answer tells one from the other.
        """
        if seen and not wish and (found := at_once(of, seen)) and may_read(found.body or b""):
            return found
        generation, name = self._generation(of), key_text(key)
        looks = iter([seen] if seen else [])

        def read(judge: Judge) -> tuple[Answer, Lack | None]:
            kept, stored = next(looks, None) or self._store.document(of.__name__, generation, name)
            return _answer(of, name, kept, stored, judge, may_read)

        return self._wait(of, read, wish)

    def documents(
        self,
        of: type[Document],
        keys: Sequence[Key],
        *,
        may_read: Callable[[bytes], bool] = lambda body: True,
        **wish: Unpack[Wish],
    ) -> list[Answer]:
        """The same for several keys, in one round trip."""
        generation, names = self._generation(of), [key_text(key) for key in keys]

        def read(judge: Judge) -> tuple[list[Answer], Lack | None]:
            found = self._store.documents(of.__name__, generation, names)
            pairs = zip(names, found, strict=True)
            answers = [_answer(of, name, *stored, judge, may_read) for name, stored in pairs]
            return [answer for answer, _ in answers], worst(lack for _, lack in answers)

        return self._wait(of, read, wish)

    def see(self, of: type[Document], key: Key, beside: Ready) -> tuple[list[Seen], list[Any]]:
        """(what is stored of a document, and by the looks beside it; what scripts beside it answer) in one round
        trip.
        """
        return self._store.see(store.look(of.__name__, self._generation(of), key_text(key)), beside)

    def sayable(self, of: type[Document], keys: Sequence[str]) -> dict[str, Answer]:
        """The document of each key of which something can be said now, in one round trip if that is all of them.

        Raises StoreUnavailable where nothing can be said of any.
        """
        found: dict[str, Answer] = {}
        try:
            return dict(zip(keys, self.documents(of, keys), strict=True))
        except (NotBuilt, StoreLost):  # of the others it may be possible: they lie in other buckets, or are not parked
            for key in keys:
                with suppress(NotBuilt, StoreLost):
                    found[key] = self.document(of, key)
        return found

    def generation(self, of: type[ReadModel]) -> int:
        """The generation that queries are served from now; looked up anew once it is POINTER_SECONDS old."""
        return self._generation(of)

    def page(
        self,
        of: type[Collection],
        partition: Key,
        filters: Mapping[str, str] | None = None,
        *,
        cursor: str | None = None,
        limit: int = 20,
        is_reversed: bool = False,
        **wish: Unpack[Wish],
    ) -> Page:
        """One page of a partition, in the declared order or against it, and the partition's measures; an unknown
        partition is empty.

        Raises WrongCursor, and CursorOver for one of another generation: its order may be another.
        """
        generation = self._generation(of)
        facet = facet_of(of, filters or {})
        is_falling = is_descending(of) != is_reversed
        signer = _cursor_signer(of, key_text(partition), facet, is_reversed)
        low, high = _bounds(facet, _parse_cursor(signer, cursor, generation), is_falling)
        limit = max(1, min(limit, conf().max_page_rows))

        def read(judge: Judge) -> tuple[Page, Lack | None]:
            stored = self._store.page(
                of.__name__, generation, key_text(partition), low, high, is_descending=is_falling, rows=limit + 1
            )
            judged = judge(stored.progress)
            is_more = len(stored.members) > limit
            following = _cursor(signer, generation, stored.members[limit - 1]) if is_more else None
            return Page(stored.bodies[:limit], following, _measures(stored, of), judged.freshness), judged.lack

        return self._wait(of, read, wish)

    def measures(self, of: type[Collection], partitions: Sequence[Key], **wish: Unpack[Wish]) -> list[Page]:
        """The measures of several partitions, without their rows, in one round trip."""
        generation = self._generation(of)

        def read(judge: Judge) -> tuple[list[Page], Lack | None]:
            found = self._store.measures(of.__name__, generation, [key_text(partition) for partition in partitions])
            judged = [judge(stored.progress) for stored in found]
            pages = [
                Page([], None, _measures(stored, of), each.freshness)
                for stored, each in zip(found, judged, strict=True)
            ]
            return pages, worst(each.lack for each in judged)

        return self._wait(of, read, wish)

    def _wait(self, of: type[ReadModel], read: Callable[[Judge], tuple[T, Lack | None]], wish: Wish) -> T:
        judge = partial(Judge, of.__name__, wish, self._now)
        return until_shown(read, judge, lambda: progress_of(self._store.progress(), of.__name__), wish, self._clock)

    def _generation(self, of: type[ReadModel]) -> int:
        """The generation of the declaration's own fingerprint, or else the live one."""
        if self._clock() >= self._pointers_until:
            self._pointers = self._store.pointers(), {}
            self._pointers_until = self._clock() + conf().pointer_seconds
        pointers, found = self._pointers
        if of not in found:
            own = _pointer(of)  # type: ignore[arg-type]  # a class is hashable
            number = pointers.get(own, pointers.get(of.__name__))
            if number is None:
                self._pointers_until = -1.0
                raise NotProjected(f"{of.__name__} has not been built yet")
            found[of] = number
        return found[of]


def key_text(key: Key) -> str:
    """A key as documents and partitions are named by it: what PostgreSQL's cast to text gives."""
    if isinstance(key, bool):
        return str(key).lower()
    return key.isoformat() if isinstance(key, date) else str(key)


def facet_of(of: type[Collection], filters: Mapping[str, str]) -> str:
    """The facet of a selection by filter values, in declared order; raises ValueError for a filter not declared."""
    if unknown := sorted(set(filters) - set(of.filter_by)):
        raise ValueError(f"{of.__name__} has no filter {', '.join(unknown)}")
    return "&".join(facet_part(name, filters[name]) for name in of.filter_by if name in filters)


def is_descending(of: type[Collection]) -> bool:
    """Whether a collection's pages come in falling order."""
    return bool(getattr(of.order_by, "descending", False))


def sort_name(of: type[Collection]) -> str | None:
    """The name of what a collection is ordered by, as its rows have it; None where that is no plain column."""
    column: Any = getattr(of.order_by, "expression", of.order_by)
    if not isinstance(column, F):
        return None
    path = column.name  # type: ignore[attr-defined]  # missing in the stubs
    return next((name for name, value in of.body.items() if getattr(value, "name", None) == path), path)


def only_partition(of: type[Collection]) -> str | None:
    """The name of the partition that holds all rows; None for a collection of several."""
    return key_text(of.partition_by.value) if isinstance(of.partition_by, Value) else None


def days(first: date, last: date) -> list[date]:
    """Every day from the first to the last, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def seen_ahead(request: Any, of: type[Document], key: Key) -> Seen | None:
    """What was read of a document before it was known that it is wanted, for this request; handed out once."""
    ahead: dict[tuple[type[Document], str], Seen] = getattr(request, "seen_ahead", {})
    return ahead.pop((of, key_text(key)), None)


def at_once(of: type[Document], seen: Seen) -> Answer | None:
    """What a reader answers to whoever wishes nothing and may read the document; None where that needs a closer look:
    there is none, or something of the read model is parked. Raises StoreLost as a reader does.
    """
    kept, stored = seen
    if stored is None or (age := _age(kept, of.__name__)) is None:
        return None
    version, body = consistency.parse_version(stored)
    return Answer(body, Freshness(*age, version)) if body else None


@cache
def reader() -> Reader:
    """The reader that views use."""
    return Reader(Store())


@cache
def _pointer(of: type[ReadModel]) -> str:
    return f"{of.__name__}/{fingerprint(of)}"


def _answer(
    of: type[Document],
    key: str,
    kept: bytes | None,
    stored: bytes | None,
    judge: Judge,
    may_read: Callable[[bytes], bool] = lambda body: True,
) -> tuple[Answer, Lack | None]:
    built, body = (None, b"") if stored is None else consistency.parse_document(stored)
    if body and not may_read(body):
        built, body = None, b""
    # Dead letters are named by the root's key; where documents have another one, it may be any of them.
    is_named = _is_by_root_key(of)  # type: ignore[arg-type]  # a class is hashable
    judged = judge(kept, key if is_named else None, built)
    if judged.is_parked and not body:
        raise NotBuilt(f"{of.__name__} {key} may be parked")
    return Answer(body or None, judged.freshness), judged.lack


@lru_cache(maxsize=512)  # progress is the same between two drains
def _age(kept: bytes | None, read_model: str) -> tuple[datetime, float] | None:
    """(as of when, lag in seconds) where nothing of the read model is parked."""
    progress = progress_of(kept, read_model)
    return None if read_model in progress.parked else (progress.stamp.at, progress.lag_seconds(read_model))


@cache
def _is_by_root_key(of: type[Document]) -> bool:
    key: Any = of.key
    return key.name in ("pk", of.root._meta.pk.name, of.root._meta.pk.attname)


def _measures(stored: StoredPage, of: type[Collection]) -> dict[str, dict[str, int]]:
    measures = {"": dict.fromkeys(of.measures, 0)}
    for field, total in stored.measures.items():
        facet, _, name = field.rpartition("|")
        measures.setdefault(facet, dict.fromkeys(of.measures, 0))[name] = total
    return measures


def _bounds(facet: str, after: str | None, is_falling: bool) -> tuple[str, str]:
    """The range of the index that a page is taken from: the facet's entries, beyond the cursor's in reading order."""
    low, high = f"[{facet}\0", f"({facet}\x01"
    if after is None:
        return low, high
    return (low, f"({after}") if is_falling else (f"({after}", high)


def _cursor_signer(of: type[Collection], partition: str, facet: str, is_reversed: bool) -> signing.Signer:
    kind = "readmodels.cursor.reversed" if is_reversed else "readmodels.cursor"
    return signing.Signer(salt=f"{kind}:{of.__name__}:{partition}:{facet}")


def _cursor(signer: signing.Signer, generation: int, member: bytes) -> str:
    return signer.sign(f"{generation}.{urlsafe_b64encode(member).decode()}")


def _parse_cursor(signer: signing.Signer, cursor: str | None, generation: int) -> str | None:
    if cursor is None:
        return None
    try:
        number, _, member = signer.unsign(cursor).partition(".")
        if int(number) != generation:
            raise CursorOver(f"generation {number} is not served any more")
        return urlsafe_b64decode(member).decode()
    except (signing.BadSignature, ValueError) as error:
        raise WrongCursor("not a cursor of this list") from error
