"""Rounds of the scrub, step by step."""

import pytest

from readmodels import scrub, snapshot
from readmodels.drift import Drift
from readmodels.store import Store


def go_round(store: Store, rows: int = 2) -> list[Drift]:
    """Until every generation has a whole round behind it that began after this."""
    with snapshot.reading() as (_, now):
        since = now.at
    found = []
    for _ in range(1000):
        step = scrub.step(store, rows)
        if step is not None:
            found.append(step)
        if all(each.verified_as_of and each.verified_as_of >= since for each in scrub.verified_as_of()):
            return found
    pytest.fail("it never came round")
