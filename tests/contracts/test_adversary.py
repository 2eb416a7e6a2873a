"""The test kit's adversary: schedules drawn by chance catch a projector with a wrong step and a declaration that reads
what it does not say; what is right comes through, and a failure can be drawn again.
"""

import re
from dataclasses import replace

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import connection
from django.db.models import F, Func, IntegerField, TextField

from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from readmodels import checks, declare, generations, models, outbox, testing
from readmodels.conf import Conf, conf
from readmodels.declare import Collection, Document, Sum
from tests.contracts import attempts
from tests.rows import add_order, add_user
from users.models import User

OF = [OrderDetail, CustomerOrders]


class ForgetsWhatIsWide(testing.Attempt):
    """Acknowledges a change whole, though what is wide of it was left to the bulk lane."""

    def acknowledge(self):
        outbox.acknowledge(self.batch.changes, self.batch.snapshot)


class AcknowledgesFanOuts(testing.Attempt):
    """Takes a fan-out for done before its documents have changes of their own."""

    def acknowledge(self):
        outbox.acknowledge(self.batch.changes, self.batch.snapshot, self.batch.wide)


class TakesOffNothing(testing.Attempt):
    """Puts an order in its new customer's list and leaves it in the list of the one before."""

    def read(self):
        super().read()
        self.batch = replace(self.batch, writes=[each for each in self.batch.writes if each.body is not None])


@pytest.fixture
def rows(store):
    for _ in range(2):
        user = add_user(name="A")
        for _ in range(2):
            add_order(user)
    testing.drain(store)


@pytest.fixture
def hidden():
    """A function in PostgreSQL that reads another table than its argument is of."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION customer_name(bigint) RETURNS text LANGUAGE sql STABLE"
            " AS 'SELECT name FROM users_user WHERE id = $1'"
        )
    yield Func(F("customer_id"), function="customer_name", output_field=TextField())
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION customer_name")


@pytest.fixture
def declared():
    """Declares a read model of orders that no app has, and has it built."""

    def declare_it(kind, **attributes):
        found = type("Throwaway", (kind,), {"root": Order, **attributes})
        assert checks.problems(found) == []
        generations.deploy()
        return found

    yield declare_it
    declare.forget("Throwaway")
    models.Generation.objects.filter(read_model="Throwaway").delete()
    generations.deploy()


def rename(chance):
    User.objects.filter(pk=chance.choice(pks(User))).update(name=f"Name {chance.random()}")


def move(chance):
    """In two statements, with a pause between."""
    moved = Order.objects.filter(pk=chance.choice(pks(Order)))
    moved.update(customer=chance.choice(pks(User)))
    yield
    moved.update(total_cents=chance.randrange(1000))


def pks(model):
    return list(model.objects.order_by("pk").values_list("pk", flat=True))


@pytest.mark.parametrize(
    "wrong",
    [
        attempts.ReadsBeforeChoosing,
        attempts.DrawsVersionAfterRead,
        attempts.DrawsVersionBeforeRead,
        attempts.HasNoGuard,
        ForgetsWhatIsWide,
        AcknowledgesFanOuts,
        TakesOffNothing,
    ],
)
def test_wrong_projector_is_caught_by_chance(store, rows, wrong):
    with pytest.raises(AssertionError, match=r"stale: |orphan: |goes back from version"):
        testing.attack(store, [rename, move], schedules=1000, seed=4, of=OF, attempt=wrong)


def test_document_that_reads_a_hidden_table_is_caught(store, rows, declared, hidden):
    wrong = declared(Document, body={"name": hidden})
    with pytest.raises(AssertionError, match=r"Throwaway is not what a fresh build gives:\n  stale: \d"):
        testing.attack(store, [rename, move], of=[wrong])


def test_collection_that_reads_a_hidden_table_is_caught(store, rows, declared, hidden):
    length = Func(hidden, function="LENGTH", output_field=IntegerField())
    wrong = declared(
        Collection, partition_by=F("status"), order_by=F("placed_at"), body={}, measures={"letters": Sum(length)}
    )
    with pytest.raises(AssertionError, match=r"Throwaway is not what a fresh build gives:\n  stale: placed/\d"):
        testing.attack(store, [rename, move], of=[wrong])


def test_document_that_differs_at_each_build_is_caught(store, rows, declared):
    now = Func(function="PG_CURRENT_SNAPSHOT", output_field=TextField())
    wrong = declared(Document, body={"total_cents": F("total_cents"), "as_of": now})
    with pytest.raises(AssertionError, match="Throwaway is not served"):
        testing.attack(store, [rename, move], of=[wrong])


def test_same_declaration_without_what_is_hidden_comes_through(store, rows, declared):
    right = declared(Document, body={"name": F("customer__name")})
    testing.attack(store, [rename, move], schedules=30, of=[right])


def test_adversary_duplicates_delays_crashes_and_fans_out(store, rows):
    seen = []

    class Watched(testing.Attempt):
        writes = acknowledges = 0
        is_overtaken = False

        def read(self):
            super().read()
            seen.append(self)

        def write(self):
            super().write()
            self.writes += 1
            self.is_overtaken |= any(each.acknowledges for each in seen[seen.index(self) + 1 :])

        def acknowledge(self):
            super().acknowledge()
            self.acknowledges += 1

    testing.attack(store, [rename, move], schedules=40, of=OF, attempt=Watched)
    assert {each.writes for each in seen} == {0, 1, 2}
    assert any(each.writes > each.acknowledges for each in seen)
    assert any(each.is_overtaken for each in seen)
    assert any(each.batch.wide for each in seen)


# What a failure says


def failing(store, seed, **options):
    testing.reset(store)
    for name in "AB":
        add_order(add_user(name=name))
    testing.drain(store)
    with pytest.raises(AssertionError) as caught:
        testing.attack(store, [rename, move], seed=seed, of=OF, attempt=ForgetsWhatIsWide, **options)
    return caught.value.__notes__[0]


def test_failure_names_seed_schedule_and_steps(store):
    note = failing(store, 7)
    assert re.match(r"Schedule \d+ of seed 7:\n  1\. (writer|delivery) \d", note)
    assert re.search(r"\d+\. writer \d \(rename\) commits", note)


def test_same_seed_draws_the_same_schedule(store):
    assert failing(store, 7) == failing(store, 7) != failing(store, 8)


def test_failure_leaves_no_setting_behind(store):
    failing(store, 7)
    assert conf().fan_out_documents == Conf.fan_out_documents


def test_reader_who_watches_is_heard(store, rows):
    def watch():
        raise AssertionError("that is not what a reader should see")

    with pytest.raises(AssertionError, match="not what a reader should see"):
        testing.attack(store, [rename], of=OF, watch=watch)


# Writes that fail


class Refused(Exception):
    """As a command's own."""


def take_email(chance):
    User.objects.filter(pk=chance.choice(pks(User))).update(email="taken@example.com")


def refuse(chance):
    rename(chance)
    raise Refused


def misspell(chance):
    User.objects.filter(pk=chance.choice(pks(User))).update(nome="A")


def test_refused_writes_are_rolled_back(store, rows):
    testing.attack(store, [rename, refuse, take_email], schedules=20, of=OF, refused=(Refused,))
    assert User.objects.filter(email="taken@example.com").count() == 1


def test_writes_that_never_commit_are_told_of(store, rows):
    with pytest.raises(AssertionError, match=r"No write was ever committed(.|\n)*is refused: Refused"):
        testing.attack(store, [refuse], schedules=3, of=OF, refused=(Refused,))


def test_error_that_nobody_named_is_raised(store, rows):
    with pytest.raises(FieldDoesNotExist, match="nome"):
        testing.attack(store, [misspell], of=OF)
