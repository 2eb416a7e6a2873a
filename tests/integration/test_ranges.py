"""One generation filled by several processes: each range by one of them, those of a killed one by another."""

import time

import pytest
from django.db import connection
from knox.models import AuthToken

from readmodels import builds, generations, models, ranges, rebuild, snapshot, switching, testing
from readmodels.generations import Generation
from readmodels.store import Store
from tests.rows import add_user
from tests.threads import at_once


@pytest.fixture
def twelve_users(store: Store, configured) -> Store:
    """To be filled in ranges of two; as text their keys have another order."""
    configured(BATCH_ROWS=2, RANGE_BATCHES=1, REPAIR_LEASE_SECONDS=1)
    for _ in range(12):
        add_user()
    testing.drain(store)
    return store


def building() -> Generation:
    with snapshot.reading() as (cursor, _):
        return next(each for each in generations.current(cursor) if each.state == "building")


def is_live(read_model: str, number: int) -> bool:
    return models.Generation.objects.filter(read_model=read_model, number=number, state="live").exists()


def repair_beside_another(store: Store) -> tuple[list[int], list[int]]:
    """The rows of each range that a repair filled, and of those that a second one did after the first range."""
    first: list[int] = []
    second: list[int] = []

    def on_range(name: str, rows: int) -> None:
        first.append(rows)
        if len(first) == 1:
            at_once(lambda: rebuild.repair(store, on_range=lambda name, rows: second.append(rows)))

    rebuild.repair(store, on_range=on_range)
    return [rows for rows in first if rows], [rows for rows in second if rows]


def test_second_process_fills_what_the_first_does_not_have_in_hand(twelve_users):
    number = switching.begin("UserProfile")
    first, second = repair_beside_another(twelve_users)
    assert (first, second) == ([2, 2], [2, 2, 2, 2])
    assert is_live("UserProfile", number)
    testing.assert_law(twelve_users)


def test_no_more_processes_than_are_set_fill_at_once(twelve_users, configured):
    configured(BATCH_ROWS=2, RANGE_BATCHES=1, REBUILD_PROCESSES=1)
    switching.begin("UserProfile")
    first, second = repair_beside_another(twelve_users)
    assert (first, second) == ([2] * 6, [])


def test_range_of_a_killed_process_is_filled_by_another(twelve_users):
    number = switching.begin("UserProfile")
    stop_after_one_range(twelve_users)
    assert ranges.following(building(), "a process that is killed now")
    assert builds.progress()[0].processes == 1
    again: list[int] = []
    rebuild.repair(twelve_users, on_range=lambda name, rows: again.append(rows))
    assert sum(again) == 10
    assert is_live("UserProfile", number)
    testing.assert_law(twelve_users)


def test_range_that_two_processes_filled_counts_once(twelve_users):
    switching.begin("UserProfile")
    stop_after_one_range(twelve_users)
    generation = building()
    slow = ranges.following(generation, "slow")
    models.BuildRange.objects.update(held_until="2000-01-01T00:00Z")
    other = ranges.following(generation, "other")
    assert other.id == slow.id
    ranges.following(generation, "other", other, rows=2)
    ranges.following(generation, "slow", slow, rows=2)
    assert builds.progress()[0].rows == 4


def stop_after_one_range(store: Store) -> None:
    class Stopped(Exception):
        pass

    def stop(name: str, rows: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        rebuild.repair(store, on_range=stop)


def test_keys_are_cut_in_the_order_of_their_column(store, configured):
    """Text is ordered by a collation, which Python does not know."""
    configured(BATCH_ROWS=2, RANGE_BATCHES=1)
    user = add_user()
    for digest in ("B", "a", "Z", "_", "é", "aa", "A-a", "10", "9", " x", "%s", "'"):
        AuthToken.objects.bulk_create([AuthToken(digest=digest, token_key="k", user=user)])
    testing.drain(store)
    number = switching.begin("AccessGrant")
    filled: list[int] = []
    rebuild.repair(store, on_range=lambda name, rows: filled.append(rows))
    assert is_live("AccessGrant", number)
    assert sum(filled) == 12
    testing.assert_law(store)


def test_throttle_holds_for_all_processes_together(twelve_users, configured):
    configured(BATCH_ROWS=2, RANGE_BATCHES=1, REBUILD_ROWS_PER_SECOND=10)
    switching.begin("UserProfile")
    began = time.monotonic()
    repair_beside_another(twelve_users)
    # Four rows alone, then eight at half the rate, since the first has a range in hand meanwhile.
    assert time.monotonic() - began > 1.9


def test_rate_leaves_out_the_time_in_which_nobody_was_at_it(twelve_users):
    switching.begin("UserProfile")
    stop_after_one_range(twelve_users)
    an_hour_ago = "UPDATE readmodels_build SET started_at = started_at - interval '1 hour', updated_at = {}"
    with connection.cursor() as cursor:
        cursor.execute(an_hour_ago.format("updated_at - interval '1 hour'"))
    stop_after_one_range(twelve_users)
    [progress] = builds.progress()
    assert (progress.rows, progress.expected_rows) == (4, 12)
    assert progress.rows_per_second > 1
    assert progress.seconds_left is not None
    assert progress.seconds_left < 60
