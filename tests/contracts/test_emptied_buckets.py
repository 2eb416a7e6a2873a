"""A bucket that is begun anew: no document is said not to exist meanwhile, whoever is late."""

import pytest

from readmodels import buckets, rebuild, sweeping, testing
from readmodels.errors import StoreLost, StoreUnavailable
from readmodels.query import Reader
from readmodels.store import Store
from tests.rows import add_user
from users.readmodels.user_profile import UserProfile


def begin_all(store: Store) -> None:
    store.begin_buckets(buckets.give_new_markers(range(256)))


def pausing_while_it_empties(store: Store, monkeypatch, pause) -> Store:
    """A store that, as it begins buckets, does something else before it removes what they held."""
    found = store._client.scan_iter

    def scan(**options):
        names = list(found(**options))
        monkeypatch.undo()
        pause()
        yield from names

    monkeypatch.setattr(store._client, "scan_iter", scan)
    return store


def test_bucket_that_is_being_emptied_is_not_read(store, monkeypatch):
    user = add_user()
    testing.drain(store)

    def read() -> None:
        with pytest.raises(StoreUnavailable):
            Reader(store).document(UserProfile, user.pk)

    begin_all(pausing_while_it_empties(store, monkeypatch, read))


def test_sweep_that_is_late_does_not_open_a_bucket_that_is_being_emptied(store, monkeypatch):
    user = add_user()
    testing.drain(store)

    def sweep_late() -> None:
        sweeping.publish_progress(store)
        with pytest.raises(StoreUnavailable):
            Reader(store).document(UserProfile, user.pk)

    pausing_while_it_empties(store, monkeypatch, sweep_late)
    # The markers of old: what a sweep still has in hand that began before the loss was seen.
    store.begin_buckets(dict(enumerate(buckets.now().markers)))


def test_repair_that_is_late_removes_nothing_of_its_successor(store, monkeypatch):
    user = add_user()
    testing.drain(store)

    def repair_meanwhile() -> None:
        rebuild.repair(store)
        sweeping.publish_progress(store)
        assert Reader(store).document(UserProfile, user.pk).body

    late = pausing_while_it_empties(store, monkeypatch, repair_meanwhile)
    with pytest.raises(StoreLost):
        begin_all(late)
    assert Reader(store).document(UserProfile, user.pk).body
    testing.assert_law(store)
