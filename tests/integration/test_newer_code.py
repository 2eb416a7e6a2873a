"""A generation that newer code has made: code of before leaves it what it acknowledges, and nobody's changes are lost.

One process plays both: `older` code knows plans up to this format, `newer` code one more.
"""

import json
import re
from contextlib import contextmanager

import pytest

from readmodels import (
    consistency,
    drift,
    generations,
    keys,
    models,
    outbox,
    plan,
    projector,
    rebuild,
    snapshot,
    status,
    sweeping,
    switching,
    testing,
)
from readmodels.errors import NotYet
from readmodels.models import GIVEN_UP, GenerationState
from readmodels.query import Reader
from tests.rows import add_order, add_user
from users.models import User
from users.readmodels.user_profile import UserProfile

NEWER = plan.FORMAT + 1


@pytest.fixture
def newer(monkeypatch):
    """A block of newer code."""

    @contextmanager
    def code():
        with monkeypatch.context() as patch:
            patch.setattr(plan, "FORMAT", NEWER)
            patch.setattr(generations, "FORMAT", NEWER)
            for name in ("IS_DUE", "ACKNOWLEDGE"):
                patch.setattr(outbox, name, re.sub(r"format (<=|>) \d+", rf"format \1 {NEWER}", getattr(outbox, name)))
            yield

    return code


@pytest.fixture
def deployed(store, newer):
    """A user with an order; newer code has built and switched to generations of its own of all that shows them."""
    user = add_user(name="A")
    add_order(user)
    testing.drain(store)
    with newer():
        for name in ("UserProfile", "OrderDetail"):
            number = switching.begin(name)
            row = models.Generation.objects.get(read_model=name, number=number)
            # What else newer plans say, this code need not understand.
            data = {**row.plan, "format": NEWER, "news": 1}
            models.Generation.objects.filter(id=row.id).update(plan=data, format=NEWER, fingerprint=f"newer {name}")
        generations._plans.clear()
        rebuild.repair(store)
    yield user
    generations._plans.clear()
    models.Generation.objects.filter(format=NEWER).delete()
    for row in models.Generation.objects.filter(state=GenerationState.RETIRED):
        generations.make_live(row)


def rename(user, name):
    with consistency.recorded() as written:
        User.objects.filter(pk=user.pk).update(name=name)
    return written.token


def differing(store, newer):
    """What differs in any generation, old or new."""
    with newer():
        with snapshot.reading() as (cursor, _):
            current = generations.current(cursor)
        assert {each.plan.format for each in current} == {NEWER - 1, NEWER}
        return sum(drift.audit(store, generation).total for generation in current)


def test_older_code_builds_its_own_and_leaves_the_rest(store, deployed):
    rename(deployed, "B")
    testing.drain(store)
    assert models.Change.objects.filter(generation_id__isnull=False).count() == 2
    assert json.loads(Reader(store).document(UserProfile, deployed.pk).body)["name"] == "B"


def test_newer_code_takes_what_was_left(store, deployed, newer):
    rename(deployed, "B")
    testing.drain(store)
    with newer():
        testing.drain(store)
    assert outbox.backlog_rows() == 0
    assert differing(store, newer) == 0


def test_newer_code_leaves_nothing_to_itself(store, deployed, newer):
    rename(deployed, "B")
    with newer():
        testing.drain(store)
    assert outbox.backlog_rows() == 0
    assert differing(store, newer) == 0


def test_wide_change_is_left_as_a_whole(store, deployed, newer, configured):
    configured(fan_out_documents=2)
    for _ in range(5):
        add_order(deployed)
    testing.drain(store)
    rename(deployed, "B")
    testing.drain(store)
    with newer():
        testing.drain(store)
        testing.drain(store)
    assert outbox.backlog_rows() == 0
    assert differing(store, newer) == 0


def test_token_waits_for_what_is_left(store, deployed, newer):
    token = rename(deployed, "B")
    testing.drain(store)
    with pytest.raises(NotYet):
        Reader(store).document(UserProfile, deployed.pk + 1, token=token, wait_seconds=0.1)
    with newer():
        testing.drain(store)
    assert Reader(store).document(UserProfile, deployed.pk + 1, token=token, wait_seconds=0.1).body is None


def test_what_is_left_shows_in_the_backlog(store, deployed):
    rename(deployed, "B")
    testing.drain(store)
    rows = {lane.lane: lane.backlog_rows for lane in status.lanes(status.backlog())}
    assert rows == {"live": 0, "bulk": 0, "newer": 2}


def test_nothing_is_left_for_what_was_given_up(store, deployed, newer):
    rename(deployed, "B")
    testing.drain(store)
    for row in models.Generation.objects.filter(state=GenerationState.RETIRED):
        generations.make_live(row)  # as code of before does that is deployed again
        assert switching.cancel(row.read_model) == 1
    testing.drain(store)
    assert outbox.backlog_rows() == 0


@pytest.mark.parametrize("state", GIVEN_UP)
def test_nothing_is_left_for_what_is_given_up(store, deployed, state):
    generations.give_up(models.Generation.objects.filter(format=NEWER), state)
    rename(deployed, "B")
    projector.settle(store)
    assert outbox.backlog_rows() == 0


def test_older_code_keeps_the_triggers_of_newer(store, deployed):
    assert generations.deploy() == []
    rename(deployed, "B")
    assert models.Change.objects.count() == 1


def test_older_code_does_not_call_a_bucket_full(store, deployed, newer):
    store._client.delete(*(keys.marker(bucket) for bucket in range(keys.BUCKETS)))
    testing.drain(store)
    assert sweeping.is_repair_due(store)
    with newer():
        testing.drain(store)
    assert differing(store, newer) == 0
