"""(4) What an order shall be -> the arguments of a command, or the reason that it is rejected, with its line."""

from dataclasses import dataclass
from datetime import datetime

from orders.batch.errors import Rejected
from orders.batch.reading import Found
from orders.batch.serializers import ImportOrderInput
from users.input_faults import input_faults

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
        faults = list(input_faults(given.errors))
        detail = "; ".join(f"{path}: {text}" if path else text for path, _, text in faults[:MOST_FAULTS])
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


def _line(found: Found, path: str) -> int:
    """The line that the field at fault stands on."""
    name, _, rest = path.partition(".")
    place = rest.partition(".")[0]
    is_known = name == "lines" and place.isdecimal() and int(place) < len(found.lines)
    return found.lines[int(place)] if is_known else found.lines[0]
