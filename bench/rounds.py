"""How a comparison is measured: all contenders in turn, several times, so that what the machine does meanwhile meets
all of them alike.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Measure = Callable[[], Mapping[str, float]]


@dataclass(frozen=True)
class Spread:
    """The median of several rounds, between the least and the greatest."""

    median: float
    least: float
    greatest: float


# By the contender's name: what each turn measured, and the same by quantity.
Turns = Mapping[str, Sequence[Mapping[str, float]]]
Found = Mapping[str, Mapping[str, Spread]]


def in_turn(contenders: Mapping[str, Measure], rounds: int, say: Callable[[str], None]) -> Found:
    """What the contenders measured."""
    return spreads(turns(contenders, rounds, say))


def turns(contenders: Mapping[str, Measure], rounds: int, say: Callable[[str], None]) -> Turns:
    """The same, turn by turn."""
    found: dict[str, list[Mapping[str, float]]] = {name: [] for name in contenders}
    order = list(contenders)
    for number in range(rounds):
        # Each is first, and after each other, about as often.
        for name in order[number % len(order) :] + order[: number % len(order)]:
            found[name].append(contenders[name]())
            say(f"round {number + 1} of {rounds}: {name}: {_text(found[name][-1])}")
    return found


def spreads(found: Turns) -> Found:
    """What so many turns come to."""
    return {
        name: {unit: spread([each[unit] for each in all_of]) for unit in all_of[0]} for name, all_of in found.items()
    }


def spread(values: Sequence[float]) -> Spread:
    """The median of these, between the least and the greatest."""
    return Spread(median(values), min(values), max(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The least of these values that at least this share of them does not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(share * 10_000) // 10_000) - 1)]


def _text(quantities: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:,.3g}" for name, value in quantities.items())
