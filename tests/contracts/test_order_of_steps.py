"""The order of the projector's steps: each wrong order has a counter-example that leaves a wrong document behind for
ever, and the right order comes through it, and through 1,000 schedules drawn by chance.
"""

import json
import random
from collections.abc import Callable, Iterator
from itertools import count
from operator import le

import psycopg
import pytest

from orders.models import Order
from orders.readmodels.orders_by_status import OrdersByStatus
from orders.status import Status
from readmodels import query, testing
from readmodels.store import Store
from tests.contracts import attempts
from tests.contracts.attempts import RightAttempt, writing
from tests.rows import add_order, add_user
from users.models import User
from users.readmodels.user_profile import UserProfile

Scenario = Callable[[Store, Callable[[], RightAttempt]], None]


def rename(writer: psycopg.Connection, user: User, name: str) -> None:
    writer.execute("UPDATE users_user SET name = %s WHERE id = %s", [name, user.pk])


def renamed(user: User, name: str) -> None:
    with writing() as writer:
        rename(writer, user, name)
        writer.commit()


# Counter-examples: each is harmless in the right order


def change_between_build_and_choice(store: Store, make: Callable[[], RightAttempt]) -> None:
    user = add_user()
    attempt = make()
    attempt.read()
    renamed(user, "B")
    attempt.write()
    attempt.acknowledge()


def late_writer_meets_newer_document(store: Store, make: Callable[[], RightAttempt]) -> None:
    user, other = add_user(), add_user()
    testing.drain(store)
    renamed(user, "B")
    late = make()
    late.read()
    renamed(user, "C")
    RightAttempt(store).run()
    renamed(other, "D")
    late.write()
    late.acknowledge()


def change_between_version_and_read(store: Store, make: Callable[[], RightAttempt]) -> None:
    user, other = add_user(), add_user()
    testing.drain(store)
    renamed(user, "B")
    early, right = make(), RightAttempt(store)
    early.begin()
    renamed(other, "D")
    right.read()
    renamed(user, "C")
    early.read()
    right.write()
    early.write()
    early.acknowledge()
    right.acknowledge()


def lower_id_commits_later(store: Store, make: Callable[[], RightAttempt]) -> None:
    slow, quick = add_user(), add_user()
    testing.drain(store)
    attempt = make()
    with writing() as writer:
        rename(writer, slow, "S")
        renamed(quick, "Q")
        attempt.run()
        writer.commit()
    attempt.run()


def order_placed_during_a_rename(store: Store, make: Callable[[], RightAttempt]) -> None:
    user = add_user()
    testing.drain(store)
    attempt = make()
    with writing() as writer:
        rename(writer, user, "B")
        attempt.fan_out(writer)
        add_order(user)
        RightAttempt(store).run()
        writer.commit()
    attempt.run()


def change_that_the_replica_lacks(store: Store, make: Callable[[], RightAttempt]) -> None:
    user = add_user()
    testing.drain(store)
    attempt = make()
    attempt.begin()
    renamed(user, "C")
    attempt.read()
    attempt.write()
    attempt.acknowledge()


def change_while_the_reader_owns_an_id(store: Store, make: Callable[[], RightAttempt]) -> None:
    user = add_user()
    testing.drain(store)
    owner, right = make(), RightAttempt(store)
    owner.begin()
    renamed(user, "B")
    owner.read()
    owner.write()
    renamed(user, "C")
    right.read()
    right.write()
    owner.acknowledge()
    right.acknowledge()


def id_handed_out_again(store: Store, make: Callable[[], RightAttempt]) -> None:
    user = add_user()
    testing.drain(store)
    renamed(user, "lost in the crash")
    attempt = make()
    attempt.read()
    attempt.write()
    [lost] = attempt.batch.changes
    with writing() as writer:  # what a crash without a flushed commit leaves: no row, and its id free again
        writer.execute("SET session_replication_role = replica")
        rename(writer, user, "A")
        writer.execute("DELETE FROM readmodels_change")
        writer.execute("SELECT setval('readmodels_change_id_seq', %s, false)", [lost.id])
        writer.commit()
    renamed(user, "C")
    attempt.acknowledge()


def second_change_while_the_first_is_read(store: Store, make: Callable[[], RightAttempt]) -> None:
    user = add_user()
    testing.drain(store)
    renamed(user, "B")
    attempt = make()
    attempt.read()
    with writing() as writer:
        rename(writer, user, "C")
        attempt.coalesce(writer)
        writer.commit()
    attempt.write()
    attempt.acknowledge()


CASES: list[tuple[type[RightAttempt], Scenario]] = [
    (attempts.ReadsBeforeChoosing, change_between_build_and_choice),
    (attempts.DrawsVersionAfterRead, late_writer_meets_newer_document),
    (attempts.DrawsVersionBeforeRead, change_between_version_and_read),
    (attempts.HasNoGuard, late_writer_meets_newer_document),
    (attempts.FollowsACursor, lower_id_commits_later),
    (attempts.FansOutInTheWriter, order_placed_during_a_rename),
    (attempts.ReadsALaggingReplica, change_that_the_replica_lacks),
    (attempts.OwnsATransactionId, change_while_the_reader_owns_an_id),
    (attempts.AcknowledgesByIdAlone, id_handed_out_again),
    (attempts.CoalescesInPlace, second_change_while_the_first_is_read),
]


@pytest.mark.parametrize(("wrong", "scenario"), CASES, ids=lambda case: case.__name__)
def test_wrong_order_is_caught(store: Store, wrong: type[RightAttempt], scenario: Scenario) -> None:
    scenario(store, lambda: wrong(store))
    testing.drain(store)
    with pytest.raises(AssertionError, match="stale"):
        testing.assert_law(store)


@pytest.mark.parametrize("scenario", dict.fromkeys(scenario for _, scenario in CASES), ids=lambda case: case.__name__)
def test_right_order_comes_through(store: Store, scenario: Scenario) -> None:
    scenario(store, lambda: RightAttempt(store))
    testing.drain(store)
    testing.assert_law(store)


# Schedules drawn by chance


class Renaming:
    """Gives a user numbers for names that only grow, row by row, in the order of commits."""

    def __init__(self, store: Store) -> None:
        self.reader, self.numbers = query.Reader(store), count(1)
        self.users = [add_user(name="000000").pk for _ in range(3)]
        self.seen = [""] * len(self.users)

    def rename(self, chance: random.Random) -> None:
        User.objects.filter(pk=chance.choice(self.users)).update(name=f"{next(self.numbers):06d}")

    def look(self) -> None:
        answers = self.reader.documents(UserProfile, self.users)
        names = [json.loads(answer.body)["name"] for answer in answers]
        assert all(map(le, self.seen, names)), f"{self.seen} went back to {names}"
        self.seen = names


def move_order(chance: random.Random) -> Iterator[None]:
    """In two statements, with a pause between."""
    moved = Order.objects.filter(pk=chance.choice(Order.objects.order_by("pk")).pk)
    moved.update(customer=chance.choice(User.objects.order_by("pk")))
    yield
    moved.update(status=chance.choice(list(Status)), total_cents=chance.randrange(1000))


def replace_order(chance: random.Random) -> None:
    chance.choice(Order.objects.order_by("pk")).delete()
    add_order(chance.choice(User.objects.order_by("pk")), status=chance.choice(list(Status)))


@pytest.fixture
def renaming(store: Store) -> Renaming:
    found = Renaming(store)
    for pk in found.users:
        add_order(User.objects.get(pk=pk))
    testing.drain(store)
    return found


def test_right_order_passes_1000_schedules(store: Store, renaming: Renaming) -> None:
    writes = [renaming.rename, move_order, replace_order]
    # One law each time, that of a read model which all of these writes reach; in the end that of all.
    of = [OrdersByStatus]
    testing.attack(store, writes, schedules=1000, seed=20261122, of=of, watch=renaming.look)
