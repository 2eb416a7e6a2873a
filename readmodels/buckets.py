"""The 256 buckets as PostgreSQL knows them: the marker that each must carry, and which of them are filled."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from uuid import uuid4

from django.db import connection
from django.db.backends.utils import CursorWrapper

from readmodels import keys, models, together

FROM_MARKERS = "FROM unnest(%s::int[], %s::text[]) AS m (number, marker) WHERE b.number = m.number"


@dataclass(frozen=True)
class Buckets:
    """Markers by bucket number (0 to 255), and the buckets that hold everything they should."""

    markers: tuple[str, ...]
    filled: frozenset[int]


def read(cursor: CursorWrapper) -> Buckets:
    """The buckets as the cursor's snapshot shows them."""
    [[[text]]] = together.ask(cursor, [ASKING])
    return parsed(text)


# One text: with one row for each bucket, asking took three times as long.
ALL = (
    "SELECT string_agg(marker || CASE WHEN is_filled THEN '+' ELSE '-' END, ' ' ORDER BY number) FROM readmodels_bucket"
)
ASKING = together.kept(ALL)


@lru_cache(maxsize=8)  # they are the same for as long as no Redis loses anything
def parsed(text: str | None) -> Buckets:
    """The buckets that ALL has found."""
    each = (text or "").split()
    return Buckets(
        tuple(one[:-1] for one in each), frozenset(number for number, one in enumerate(each) if one[-1] == "+")
    )


def now() -> Buckets:
    """The buckets as they are now."""
    with connection.cursor() as cursor:
        return read(cursor)


def create_missing() -> None:
    """All buckets exist; a new one is not filled yet."""
    models.Bucket.objects.bulk_create(
        [models.Bucket(number=number, marker=uuid4().hex) for number in range(keys.BUCKETS)], ignore_conflicts=True
    )


def give_new_markers(numbers: Iterable[int]) -> dict[int, str]:
    """These buckets have markers they never had, and are not filled; returns the markers."""
    markers = {number: uuid4().hex for number in numbers}
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE readmodels_bucket b SET marker = m.marker, is_filled = false {FROM_MARKERS}", _pairs(markers)
        )
    return markers


def mark_filled(cursor: CursorWrapper, markers: Mapping[int, str]) -> None:
    """The buckets that still have these markers are filled."""
    cursor.execute(
        f"UPDATE readmodels_bucket b SET is_filled = true {FROM_MARKERS} AND b.marker = m.marker", _pairs(markers)
    )


def _pairs(markers: Mapping[int, str]) -> list[list[int] | list[str]]:
    return [list(markers), list(markers.values())]
