"""Step 7: reading, with or without a consistency token, from Redis alone."""

import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import TypeVar

from django.core import signing

from readmodels import consistency
from readmodels.building import facet_part
from readmodels.conf import conf
from readmodels.consistency import Progress, Token
from readmodels.declare import Collection, Document, ReadModel
from readmodels.errors import NotProjected, NotYet, StoreLost, WrongCursor
from readmodels.fingerprint import fingerprint
from readmodels.store import Store
from readmodels.values import StoredPage

Key = str | int | date
T = TypeVar("T")

POLL_SECONDS = (0.002, 0.005, 0.01, 0.02)  # the first waits are short: commit to visible takes some 5 ms


@dataclass(frozen=True)
class Freshness:
    """How new an answer is: it shows everything that had committed `lag_seconds` before `as_of`."""

    as_of: datetime
    lag_seconds: float


@dataclass(frozen=True)
class Answer:
    """A document as stored. `version` changes whenever the document may have; body None: there is none."""

    body: bytes | None
    version: str
    freshness: Freshness


@dataclass(frozen=True)
class Page:
    """Rows of a partition as stored, in order, and the partition's measures by facet ('' for all rows) and name."""

    rows: list[bytes]
    next_cursor: str | None
    measures: dict[str, dict[str, int]]
    freshness: Freshness


class Reader:
    """Reads what queries are served from. Raises StoreUnavailable (also while a lost bucket is filled again),
    NotProjected before the first build, and NotYet where a token's write does not arrive within the wait.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._pointers: dict[str, int] = {}
        self._pointers_until = -1.0

    def document(
        self, of: type[Document], key: Key, *, token: Token | None = None, wait_seconds: float | None = None
    ) -> Answer:
        """The document of a key; its body is None where there is none."""
        generation = self._generation(of)

        def read() -> tuple[Answer, bool]:
            kept, stored = self._store.document(of.__name__, generation, key_text(key))
            return _answer(of, kept, stored, token)

        return self._wait(of, read, token, wait_seconds)

    def documents(
        self, of: type[Document], keys: Sequence[Key], *, token: Token | None = None, wait_seconds: float | None = None
    ) -> list[Answer]:
        """The same for several keys, in one round trip."""
        generation = self._generation(of)

        def read() -> tuple[list[Answer], bool]:
            found = self._store.documents(of.__name__, generation, [key_text(key) for key in keys])
            answers = [_answer(of, kept, stored, token) for kept, stored in found]
            return [answer for answer, _ in answers], all(is_included for _, is_included in answers)

        return self._wait(of, read, token, wait_seconds)

    def page(
        self,
        of: type[Collection],
        partition: Key,
        filters: Mapping[str, str] | None = None,
        *,
        cursor: str | None = None,
        limit: int = 20,
        token: Token | None = None,
        wait_seconds: float | None = None,
    ) -> Page:
        """One page of a partition and the partition's measures; an unknown partition is empty. Raises WrongCursor."""
        generation = self._generation(of)
        facet = facet_of(of, filters or {})
        signer = _cursor_signer(of, key_text(partition), facet)
        low, high = _bounds(of, facet, _parse_cursor(signer, cursor))
        limit = max(1, min(limit, conf().max_page_rows))

        def read() -> tuple[Page, bool]:
            stored = self._store.page(
                of.__name__, generation, key_text(partition), low, high, is_descending=is_descending(of), rows=limit + 1
            )
            progress = _progress(stored.progress)
            is_more = len(stored.members) > limit
            following = _cursor(signer, stored.members[limit - 1]) if is_more else None
            page = Page(stored.bodies[:limit], following, _measures(stored, of), _freshness(progress, of))
            return page, token is None or progress.includes(token, of.__name__)

        return self._wait(of, read, token, wait_seconds)

    def measures(
        self,
        of: type[Collection],
        partitions: Sequence[Key],
        *,
        token: Token | None = None,
        wait_seconds: float | None = None,
    ) -> list[Page]:
        """The measures of several partitions, without their rows, in one round trip."""
        generation = self._generation(of)

        def read() -> tuple[list[Page], bool]:
            found = self._store.measures(of.__name__, generation, [key_text(partition) for partition in partitions])
            kept = [_progress(stored.progress) for stored in found]
            pages = [
                Page([], None, _measures(stored, of), _freshness(progress, of))
                for stored, progress in zip(found, kept, strict=True)
            ]
            return pages, token is None or all(progress.includes(token, of.__name__) for progress in kept)

        return self._wait(of, read, token, wait_seconds)

    def _wait(
        self, of: type[ReadModel], read: Callable[[], tuple[T, bool]], token: Token | None, seconds: float | None
    ) -> T:
        """What `read` gives once it includes the token's write.

        The first bucket's progress is written by every drain, the others' by each sweep: where the bucket at hand can't
        tell yet, the first one may; what is read after it said so includes the write too.
        """
        wanted = conf().default_wait_seconds if seconds is None else min(seconds, conf().max_wait_seconds)
        deadline = self._clock() + wanted
        attempt = 0
        while True:
            found, is_included = read()
            if is_included or token is None:
                return found
            if _progress(self._store.progress()).includes(token, of.__name__):
                return read()[0]
            if self._clock() >= deadline:
                raise NotYet(f"the write is not in {of.__name__} after {wanted:g} s")
            time.sleep(POLL_SECONDS[min(attempt, len(POLL_SECONDS) - 1)])
            attempt += 1

    def _generation(self, of: type[ReadModel]) -> int:
        """The generation of the declaration's own fingerprint, or else the live one."""
        if self._clock() >= self._pointers_until:
            self._pointers = self._store.pointers()
            self._pointers_until = self._clock() + conf().pointer_seconds
        own = _pointer(of)  # type: ignore[arg-type]  # a class is hashable
        number = self._pointers.get(own, self._pointers.get(of.__name__))
        if number is None:
            self._pointers_until = -1.0
            raise NotProjected(f"{of.__name__} has not been built yet")
        return number


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


def days(first: date, last: date) -> list[date]:
    """Every day from the first to the last, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


@cache
def reader() -> Reader:
    """The reader that views use."""
    return Reader(Store())


@cache
def _pointer(of: type[ReadModel]) -> str:
    return f"{of.__name__}/{fingerprint(of)}"


def _answer(of: type[Document], kept: bytes | None, stored: bytes | None, token: Token | None) -> tuple[Answer, bool]:
    progress = _progress(kept)
    freshness = _freshness(progress, of)
    if stored is None:
        answer, is_included = Answer(None, progress.stamp.version, freshness), False
    else:
        stamp, body = consistency.parse_document(stored)
        answer, is_included = (
            Answer(body or None, stamp.version, freshness),
            token is not None and stamp.includes(token),
        )
    return answer, token is None or is_included or progress.includes(token, of.__name__)


def _progress(kept: bytes | None) -> Progress:
    if kept is None:
        raise StoreLost("the bucket is being filled")
    return consistency.parse_progress(kept)


def _freshness(progress: Progress, of: type[ReadModel]) -> Freshness:
    return Freshness(progress.stamp.at, progress.lag_seconds(of.__name__))


def _measures(stored: StoredPage, of: type[Collection]) -> dict[str, dict[str, int]]:
    measures = {"": dict.fromkeys(of.measures, 0)}
    for field, total in stored.measures.items():
        facet, _, name = field.rpartition("|")
        measures.setdefault(facet, dict.fromkeys(of.measures, 0))[name] = total
    return measures


def _bounds(of: type[Collection], facet: str, after: str | None) -> tuple[str, str]:
    """The range of the index that a page is taken from: the facet's entries, beyond the cursor's in reading order."""
    low, high = f"[{facet}\0", f"({facet}\x01"
    if after is None:
        return low, high
    return (low, f"({after}") if is_descending(of) else (f"({after}", high)


def _cursor_signer(of: type[Collection], partition: str, facet: str) -> signing.Signer:
    return signing.Signer(salt=f"readmodels.cursor:{of.__name__}:{partition}:{facet}")


def _cursor(signer: signing.Signer, member: bytes) -> str:
    return signer.sign(urlsafe_b64encode(member).decode())


def _parse_cursor(signer: signing.Signer, cursor: str | None) -> str | None:
    if cursor is None:
        return None
    try:
        return urlsafe_b64decode(signer.unsign(cursor)).decode()
    except (signing.BadSignature, ValueError) as error:
        raise WrongCursor("not a cursor of this list") from error
