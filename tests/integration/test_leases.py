"""Leases of shards: one projector at a time, for so long; what ran out is the next one's."""

import pytest
from django.db import connection
from django.db.models.functions import Now

from readmodels import leases, models, together
from readmodels.leases import DiedBefore, Lease
from readmodels.outbox import Lane

FIRST, SECOND = Lease(Lane.LIVE, "first"), Lease(Lane.LIVE, "second")


@pytest.fixture
def waiting(store):
    """Shards 3, 1 and 2 have work, the oldest change lies in 3."""
    models.Change.objects.bulk_create(models.Change(source="a", key="1", xid=1, shard=shard) for shard in (3, 1, 2))


def take(lease):
    with connection.cursor() as cursor:
        [rows] = together.ask(cursor, [leases.taking(lease)])
    return rows


def held_by(lease):
    return list(models.Shard.objects.filter(holder=lease.holder).order_by("number").values_list("number", flat=True))


def test_shard_has_one_holder(waiting):
    assert len(take(FIRST)) == 3
    assert take(SECOND) == []
    assert (held_by(FIRST), held_by(SECOND)) == ([1, 2, 3], [])


def test_shard_is_free_once_it_was_given_back(waiting):
    take(FIRST)
    assert leases.end(FIRST)  # nothing was projected: the lane has work
    leases.require_first(take(SECOND))
    assert held_by(SECOND) == [1, 2, 3]
    models.Change.objects.all().delete()
    assert not leases.end(SECOND)


def test_lease_that_ran_out_is_the_next_ones_who_knows_that_an_attempt_began(waiting):
    take(FIRST)
    models.Shard.objects.update(held_until=Now())
    with pytest.raises(DiedBefore) as died:
        leases.require_first(take(SECOND))
    assert died.value.attempts == 2
    leases.end(FIRST)  # late: it is not its own any more
    assert held_by(SECOND) == [1, 2, 3]


def test_half_of_the_shards_are_those_with_the_oldest_changes(waiting):
    take(Lease(Lane.LIVE, "half", share=2))
    assert list(models.Shard.objects.values_list("number", flat=True).order_by("number")) == [1, 3]


def test_shards_of_other_lanes_are_left_alone(waiting):
    assert take(Lease(Lane.BULK, "bulk")) == []
