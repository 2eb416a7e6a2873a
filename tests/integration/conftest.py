"""Files run in any order, and on any of several test processes."""

import pytest

from readmodels import testing
from readmodels.store import Store


@pytest.fixture(scope="module", autouse=True)
def _begin_with_nothing(django_db_setup, django_db_blocker) -> None:
    """Tests that are rolled back don't find what those with real commits left behind, whichever came before."""
    with django_db_blocker.unblock():
        testing.reset(Store())
