"""JSON, strictly: what PostgreSQL can't hold, or two readers read differently, is refused."""

import json
import math
from collections.abc import Iterator
from typing import Any

MOST_DEPTH = 32


class NotStrictJson(ValueError):
    """The text is not JSON as it is accepted here; the message says why, to whoever sent it."""


def read(text: bytes) -> Any:
    """What the text holds. UTF-8, no key twice, finite numbers, no NUL nor lone surrogate, bounded in depth; or else
    raises NotStrictJson. How long the text may be, the caller says.
    """
    try:
        found = json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise NotStrictJson(f"Nested more than {MOST_DEPTH} deep.") from error
    except ValueError as error:  # also bytes that are no UTF-8, and integers of thousands of digits
        raise NotStrictJson(f"Not JSON as it is accepted here: {error}") from error
    _check(found)
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is no finite number")
    return number


def _check(found: Any) -> None:
    """Go down level by level, so that depth can't exhaust the stack."""
    level, depth = [found], 0
    while level:
        if depth == MOST_DEPTH and any(isinstance(value, dict | list) for value in level):
            raise NotStrictJson(f"Nested more than {MOST_DEPTH} deep.")
        for text in level:
            if isinstance(text, str) and not _is_storable(text):
                raise NotStrictJson("Text holds NUL or half of a surrogate pair.")
        level, depth = [part for value in level for part in _parts(value)], depth + 1


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _is_storable(text: str) -> bool:
    return (text.isascii() and "\0" not in text) or not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)
