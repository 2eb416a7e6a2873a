"""Leases of shards: one projector at a time, for so long; what ran out is the next one's."""

from dataclasses import replace

import pytest
from django.db import connection
from django.db.models.functions import Now

from readmodels import consistency, isolation, leases, models, projector, together
from readmodels.leases import DiedBefore, Lease, NothingTaken
from readmodels.outbox import Lane
from readmodels.store import Store
from readmodels.values import VERSION_LENGTH
from tests.rows import add_user

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
    assert leases.end_and_look(FIRST)  # nothing was projected: the lane has work
    leases.require_first(take(SECOND))
    assert held_by(SECOND) == [1, 2, 3]
    models.Change.objects.all().delete()
    assert not leases.end_and_look(SECOND)


def test_lease_that_ran_out_is_the_next_ones_who_knows_that_an_attempt_began(waiting):
    take(FIRST)
    models.Shard.objects.update(held_until=Now())
    with pytest.raises(DiedBefore) as died:
        leases.require_first(take(SECOND))
    assert died.value.attempts == 2
    leases.end(FIRST)  # late: it is not its own any more
    assert held_by(SECOND) == [1, 2, 3]


def test_lease_that_is_kept_runs_out_later(waiting):
    take(FIRST)
    models.Shard.objects.update(held_until=Now())
    leases.keep(FIRST)
    assert take(SECOND) == []
    assert set(models.Shard.objects.values_list("attempts", flat=True)) == {1}


def test_lease_of_others_by_now_is_not_kept(waiting):
    take(FIRST)
    models.Shard.objects.update(held_until=Now())
    take(SECOND)
    with pytest.raises(NothingTaken):
        leases.keep(FIRST)


class Slow(Store):
    """After each write its projector's leases have run out; at the next it is seen which did so before."""

    def __init__(self):
        super().__init__()
        self.ran_out = []

    def apply(self, attempt, writes):
        super().apply(attempt, writes)
        self.ran_out.append(models.Shard.objects.filter(holder__isnull=False, held_until__lte=Now()).count())
        models.Shard.objects.filter(holder__isnull=False).update(held_until=Now())


@pytest.mark.parametrize("deaths", [1, 2])
def test_projector_keeps_its_lease_between_the_parts_of_what_others_died_of(store, deaths):
    """Or each would be taken for dead, however slow it may be, and the next one take fewer changes still."""
    for _ in range(2 * isolation.AFTER_ONE_DEATH):
        add_user()
    take(FIRST)
    models.Shard.objects.update(held_until=Now(), attempts=deaths)
    slow = Slow()
    projector.drain(slow)
    assert len(slow.ran_out) >= 2
    assert not any(slow.ran_out)
    assert not models.Shard.objects.filter(attempts__gt=0).exists()


def test_half_of_the_shards_are_those_with_the_oldest_changes(waiting):
    take(Lease(Lane.LIVE, "half", share=2))
    assert list(models.Shard.objects.values_list("number", flat=True).order_by("number")) == [1, 3]


def test_projector_reads_the_shards_that_it_holds_and_no_others(store):
    for _ in range(20):
        add_user()
    take(replace(FIRST, share=2))
    theirs = models.Change.objects.filter(shard__in=held_by(FIRST)).values_list("pk", flat=True)
    mine = models.Change.objects.exclude(pk__in=theirs).values_list("pk", flat=True)
    assert theirs
    assert mine
    batch = projector.read(store, Lane.LIVE.value, lease=SECOND)
    assert {change.id for change in batch.changes} == set(mine)


def test_batch_of_a_share_of_a_backlog_says_that_the_rest_is_still_pending(store):
    """Or who asks with the token of a write in the rest would be answered without it."""
    for _ in range(20):
        add_user()
    batch = projector.read(store, Lane.LIVE.value, lease=replace(FIRST, share=2))
    left = models.Change.objects.exclude(pk__in=[change.id for change in batch.changes])
    progress = consistency.parse_progress(b"0" * VERSION_LENGTH + batch.progress.encode())
    assert left
    assert set(left.values_list("xid", flat=True)) <= set(progress.pending["UserProfile"])


def test_shards_of_other_lanes_are_left_alone(waiting):
    assert take(Lease(Lane.BULK, "bulk")) == []
