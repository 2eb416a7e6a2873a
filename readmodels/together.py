"""Several statements in one trip to PostgreSQL. A trip costs more than most of what the projector asks.

Parameters are put in by the client, as Django has it unless told otherwise: a statement prepared by the server is one
by itself.
"""

from collections.abc import Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper

# SQL with %s for parameters, and those.
Statement = tuple[str, Sequence[Any]]
Rows = list[tuple[Any, ...]]


def ask(cursor: CursorWrapper, statements: Sequence[Statement]) -> list[Rows]:
    """The rows of each statement; where one fails, it raises that error. Nothing is asked where there is none."""
    if not statements:
        return []
    text = "; ".join(sql for sql, _ in statements)
    cursor.execute(text, [value for _, parameters in statements for value in parameters])
    found = [_rows(cursor)]
    while cursor.nextset():
        found.append(_rows(cursor))
    return found


def _rows(cursor: CursorWrapper) -> Rows:
    return cursor.fetchall() if cursor.description else []
