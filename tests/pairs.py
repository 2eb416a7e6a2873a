"""Whether time tells one thing from another: both are asked for in turn, many times."""

import time
from collections.abc import Callable

PAIRS = 150


def assert_as_long(ask_one: Callable[[], object], ask_other: Callable[[], object]) -> None:
    """Of pairs, about half of the first take longer; were they told by time, nearly all would, or nearly none."""
    longer = 0
    for turn in range(PAIRS):
        seconds = {}
        for ask in (ask_one, ask_other) if turn % 2 else (ask_other, ask_one):
            begun = time.perf_counter()
            ask()
            seconds[ask] = time.perf_counter() - begun
        longer += seconds[ask_one] > seconds[ask_other]
    # 150 fair coins are outside of this once in 10 million; hashing or a statement more would be seen each time.
    assert PAIRS * 0.28 < longer < PAIRS * 0.72
