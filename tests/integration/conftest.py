"""Files run in any order, and on any of several test processes."""

from collections.abc import Callable

import pytest

from readmodels import buckets, testing
from readmodels.store import Store
from readmodels.values import Attempt


@pytest.fixture(scope="module", autouse=True)
def _begin_with_nothing(django_db_setup, django_db_blocker) -> None:
    """Tests that are rolled back don't find what those with real commits left behind, whichever came before."""
    with django_db_blocker.unblock():
        testing.reset(Store())


@pytest.fixture
def attempt_at(store) -> Callable[[int], Attempt]:
    """An attempt that begins now, of a snapshot of this number."""
    store_id, markers = store.state().store_id, buckets.now().markers

    def attempt(number: int) -> Attempt:
        version = f"000001{number:020d}"
        return Attempt(store.now_ms(), version, f"{version} 0 1:1:\n".encode(), store_id, markers)

    return attempt
