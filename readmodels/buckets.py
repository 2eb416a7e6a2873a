"""The 256 buckets as PostgreSQL knows them: the marker that each must carry, and which of them are filled."""

from dataclasses import dataclass
from uuid import uuid4

from django.db import connection
from django.db.backends.utils import CursorWrapper

from readmodels import keys, models


@dataclass(frozen=True)
class Buckets:
    """Markers by bucket number (0 to 255), and the buckets that hold everything they should."""

    markers: list[str]
    filled: frozenset[int]


def read(cursor: CursorWrapper) -> Buckets:
    """The buckets as the cursor's snapshot shows them."""
    cursor.execute("SELECT marker, is_filled FROM readmodels_bucket ORDER BY number")
    rows = cursor.fetchall()
    return Buckets([marker for marker, _ in rows], frozenset(b for b, (_, is_filled) in enumerate(rows) if is_filled))


def now() -> Buckets:
    """The buckets as they are now."""
    with connection.cursor() as cursor:
        return read(cursor)


def create_missing() -> None:
    """All buckets exist; a new one is not filled yet."""
    models.Bucket.objects.bulk_create(
        [models.Bucket(number=number, marker=uuid4().hex) for number in range(keys.BUCKETS)], ignore_conflicts=True
    )


def give_new_marker(number: int) -> str:
    """The bucket has a marker it never had, and is not filled; returns the marker."""
    marker = uuid4().hex
    models.Bucket.objects.filter(number=number).update(marker=marker, is_filled=False)
    return marker


def mark_filled(markers: dict[int, str]) -> None:
    """The buckets that still have these markers are filled."""
    for number, marker in markers.items():
        models.Bucket.objects.filter(number=number, marker=marker).update(is_filled=True)
