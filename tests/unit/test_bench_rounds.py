"""How a comparison is measured: turns, spreads, percentiles."""

from itertools import count

import pytest

from bench.rounds import Spread, in_turn, percentile, spread


def test_every_contender_is_first_in_turn():
    calls: list[str] = []

    def contender(name):
        return lambda: calls.append(name) or {"calls": float(len(calls))}

    in_turn({name: contender(name) for name in "abc"}, 3, lambda line: None)
    assert "".join(calls) == "abcbcacab"


def test_what_was_measured_goes_to_whom_measured_it():
    numbers = count(1)
    found = in_turn({name: lambda: {"n": float(next(numbers))} for name in "ab"}, 2, lambda line: None)
    assert found == {"a": {"n": Spread(2.5, 1.0, 4.0)}, "b": {"n": Spread(2.5, 2.0, 3.0)}}


def test_spread_is_the_median_between_the_least_and_the_greatest():
    assert spread([5.0, 1.0, 2.0]) == Spread(2.0, 1.0, 5.0)


@pytest.mark.parametrize(
    ("share", "value"), [(0, 1), (0.01, 1), (0.011, 2), (0.5, 50), (0.99, 99), (0.999, 100), (1, 100)]
)
def test_percentile_is_a_value_that_was_measured(share, value):
    assert percentile([float(n) for n in range(100, 0, -1)], share) == value


def test_percentile_of_one_value_is_that():
    assert percentile([7.0], 0.99) == 7.0
