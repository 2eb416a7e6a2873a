"""Uniqueness as a refusal. Asking first would lose the race between two writers; the unique index can't lose it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import IntegrityError, transaction

from users.errors import Refused


@contextmanager
def refused_if_taken(constraint: str, refusal: Refused) -> Iterator[None]:
    """Run the block in a transaction or savepoint; raises `refusal` when it breaks this unique constraint."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        diagnosis = getattr(error.__cause__, "diag", None)
        if diagnosis is not None and diagnosis.constraint_name == constraint:
            raise refusal from error
        raise
