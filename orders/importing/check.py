"""(3) One pass over the whole file before anything is written: a file refused in its last line has left no trace."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from orders.importing.columns import NAMES
from orders.importing.dates import DateOrder, Evidence
from orders.importing.source import opened

_DATE = list(NAMES).index("date")


class Checked(NamedTuple):
    """What the pass found: how many rows there are, and how their dates are read."""

    rows: int
    date_order: DateOrder


def check(path: Path, told: DateOrder, advance: Callable[[int], None]) -> Checked:
    """Read every row; raises ImportRefused if the file can't be read or its dates can't be told apart."""
    evidence, rows = Evidence(), 0
    with opened(path) as source:
        place = source.places[_DATE]
        for row in source.rows:
            if len(row.values) == len(source.places):
                evidence.see(row.values[place], row.number)
            rows += 1
            advance(1)
        return Checked(rows, evidence.decide(told))
