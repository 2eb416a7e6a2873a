"""What a scenario found, as it is kept between runs (docs/benchmarks/NAME.json) and shown (docs/benchmarks.md)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.rounds import Spread


@dataclass(frozen=True)
class Table:
    """Rows of measured quantities by name; each row's ratio is of `ratio_of`, to the row named `against`."""

    caption: str
    rows: Mapping[str, Mapping[str, Spread]]
    against: str = ""
    ratio_of: str = ""

    def ratio(self, name: str, against: str = "") -> float:
        """How many times as much as the other row, by medians."""
        return self.rows[name][self.ratio_of].median / self.rows[against or self.against][self.ratio_of].median


@dataclass(frozen=True)
class Goal:
    """What was aimed for and what was found; one of the two bounds is given."""

    text: str
    found: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def is_met(self) -> bool:
        """Whether the bound is kept to."""
        return (self.at_least is None or self.found >= self.at_least) and (
            self.at_most is None or self.found <= self.at_most
        )


@dataclass(frozen=True)
class Plot:
    """Bars (one number per name) or lines (points of x and y per name); `unit` is that of the bars, or of y."""

    name: str
    title: str
    unit: str
    bars: Mapping[str, float] = field(default_factory=dict)
    lines: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    x_title: str = ""
    is_logarithmic: bool = False
    is_x_logarithmic: bool = False


@dataclass(frozen=True)
class Result:
    """One scenario's tables, goals, plots, and what has to be known to read them; `where` it was measured."""

    tables: Sequence[Table]
    goals: Sequence[Goal] = ()
    plots: Sequence[Plot] = ()
    notes: Sequence[str] = ()
    where: str = ""


def save(result: Result, file: Path) -> None:
    """The result is kept in this file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(result), indent=1) + "\n")


def load(file: Path) -> Result:
    """The result that is kept in this file."""
    kept: dict[str, Any] = json.loads(file.read_text())
    tables = [Table(**{**each, "rows": _spreads(each["rows"])}) for each in kept["tables"]]
    goals = [Goal(**each) for each in kept["goals"]]
    plots = [Plot(**each) for each in kept["plots"]]
    return Result(tables, goals, plots, kept["notes"], kept["where"])


def _spreads(rows: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, Spread]]:
    return {name: {unit: Spread(**spread) for unit, spread in row.items()} for name, row in rows.items()}
