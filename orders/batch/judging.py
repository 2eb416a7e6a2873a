"""(4) What an order shall be -> the arguments of a command, or the reason that it is rejected, with its line."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orders.batch.errors import Rejected
from orders.batch.reading import Found
from orders.batch.serializers import ImportOrderInput

LONGEST_DETAIL = 500
MOST_FAULTS = 5  # of one order that are told


@dataclass(frozen=True)
class Wanted:
    """An order as the command takes it."""

    customer_id: int | None
    lines: list[tuple[str, int]]
    placed_at: datetime | None
    external_ref: str | None


def judge(found: Found) -> Wanted | Rejected:
    """What is to be tried, as far as can be said without the tables."""
    if isinstance(found.wanted, Rejected):
        return readable(found.wanted)
    given = ImportOrderInput(data=found.wanted)
    if not given.is_valid():
        faults = list(_faults(given.errors))
        detail = "; ".join(f"{path}: {text}" if path else text for path, text in faults[:MOST_FAULTS])
        return readable(Rejected(_line(found, faults[0][0]), "invalid_input", detail))
    values = dict(given.validated_data)
    return Wanted(
        customer_id=values.get("customer_id"),
        lines=[(line["sku"], line["quantity"]) for line in values["lines"]],
        placed_at=values.get("placed_at"),
        external_ref=values.get("external_ref"),
    )


def readable(rejected: Rejected) -> Rejected:
    """The same in a length and with characters that can be stored and shown; it may quote what was sent."""
    text = "".join(character if character.isprintable() else "?" for character in rejected.detail)
    if len(text) > LONGEST_DETAIL:
        text = text[: LONGEST_DETAIL - 4] + " ..."
    return Rejected(rejected.line, rejected.code, text)


def _faults(errors: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(field, message) of each; a field of a list as `lines.0.sku`."""
    if isinstance(errors, dict):
        for name, inner in errors.items():
            yield from _faults(inner, path if name == "non_field_errors" else f"{path}.{name}".lstrip("."))
    elif isinstance(errors, list):
        for place, inner in enumerate(errors):
            yield from _faults(inner, f"{path}.{place}".lstrip(".") if isinstance(inner, dict | list) else path)
    else:
        yield path, str(errors)


def _line(found: Found, path: str) -> int:
    """The line that the field at fault stands on."""
    name, _, rest = path.partition(".")
    place = rest.partition(".")[0]
    is_known = name == "lines" and place.isdecimal() and int(place) < len(found.lines)
    return found.lines[int(place)] if is_known else found.lines[0]
