"""Dead letters by command: listed, shown, retried and discarded, with exit codes that scripts can go by."""

import pytest

from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from readmodels import deadletters, isolation, models, projector, testing
from readmodels.outbox import Lane
from readmodels.query import Reader
from tests.cli import readmodels
from tests.rows import add_order, add_user

# More than a measure may hold: three collections can't add it up.
POISON_CENTS = 10**16


@pytest.fixture
def poisoned(store, monkeypatch) -> Order:
    """An order whose rows are parked in three collections."""
    monkeypatch.setattr(isolation, "FIRST_DELAY_SECONDS", 0.0)
    order = add_order(add_user(), total_cents=POISON_CENTS, status="paid")
    settle(store)
    return order


def settle(store):
    for _ in range(3):
        projector.settle(store)
        projector.settle(store, Lane.BULK)


def mend(order):
    """The row is sound; nothing but a retry tells of it."""
    Order.objects.filter(pk=order.pk).update(total_cents=100)
    models.Change.objects.all().delete()


def test_none_are_listed_where_there_are_none(store, capsys):
    answer = readmodels(capsys, "dead-letters")
    assert (answer.code, answer.out) == (0, "no dead letters\n")


def test_each_is_listed_with_its_error(poisoned, capsys):
    answer = readmodels(capsys, "dead-letters", "list", "--json")
    assert answer.code == 1
    assert answer.data["count"] == 3
    found = {letter["read_model"]: letter for letter in answer.data["dead_letters"]}
    assert set(found) == {"CustomerOrders", "OrdersByStatus", "SalesByDay"}
    assert found["SalesByDay"]["key"] == str(poisoned.pk)
    assert "OVERFLOW" in found["SalesByDay"]["error"]


def test_table_has_a_line_for_each(poisoned, capsys):
    lines = readmodels(capsys, "dead-letters").out.splitlines()
    assert len([line for line in lines if "OVERFLOW" in line]) == 3


def test_those_of_one_read_model_are_listed_alone(poisoned, capsys):
    answer = readmodels(capsys, "dead-letters", "--read-model", "SalesByDay", "--json")
    assert [letter["read_model"] for letter in answer.data["dead_letters"]] == ["SalesByDay"]
    assert readmodels(capsys, "dead-letters", "--read-model", "OrderDetail").code == 0


def test_list_is_bounded_and_says_so(poisoned, capsys):
    answer = readmodels(capsys, "dead-letters", "--limit", 2)
    assert answer.code == 1
    assert "2 of 3 are shown" in answer.out
    assert len(readmodels(capsys, "dead-letters", "--limit", 2, "--json").data["dead_letters"]) == 2


def test_one_is_shown_with_its_traceback(poisoned, capsys):
    [letter] = deadletters.listed("SalesByDay")
    answer = readmodels(capsys, "dead-letters", "show", letter.id)
    assert answer.code == 0
    assert "Traceback" in answer.out
    assert "SalesByDay" in answer.out


def test_retried_one_is_built(poisoned, store, capsys):
    mend(poisoned)
    [letter] = deadletters.listed("CustomerOrders")
    answer = readmodels(capsys, "dead-letters", "retry", letter.id, "--json")
    assert (answer.code, answer.data) == (0, {"retried": [letter.id], "missing": []})
    settle(store)
    assert len(deadletters.listed()) == 2
    testing.drain(store)
    assert Reader(store).page(CustomerOrders, poisoned.customer_id).rows


def test_all_are_retried(poisoned, store, capsys):
    mend(poisoned)
    answer = readmodels(capsys, "dead-letters", "retry", "--all")
    assert (answer.code, answer.out) == (0, "retried 3\n")
    settle(store)
    assert deadletters.listed() == []
    assert Reader(store).page(CustomerOrders, poisoned.customer_id).rows


def test_all_of_one_read_model_are_retried(poisoned, capsys):
    readmodels(capsys, "dead-letters", "retry", "--all", "--read-model", "SalesByDay")
    assert {letter.read_model for letter in deadletters.listed()} == {"CustomerOrders", "OrdersByStatus"}


def test_retry_of_all_where_there_are_none_is_fine(store, capsys):
    answer = readmodels(capsys, "dead-letters", "retry", "--all")
    assert (answer.code, answer.out) == (0, "retried 0\n")


def test_discarded_one_is_gone(poisoned, capsys):
    [letter] = deadletters.listed("SalesByDay")
    answer = readmodels(capsys, "dead-letters", "discard", letter.id, "--json")
    assert (answer.code, answer.data) == (0, {"discarded": [letter.id], "missing": []})
    assert deadletters.listed("SalesByDay") == []
    assert models.Change.objects.count() == 0


@pytest.mark.parametrize("task", ["show", "retry", "discard"])
def test_one_that_is_gone_is_named_and_the_others_done(poisoned, capsys, task):
    [letter] = deadletters.listed("SalesByDay")
    answer = readmodels(capsys, "dead-letters", task, 99, letter.id)
    assert answer.code == 1
    assert "99 is no dead letter (any more)" in answer.out
    assert readmodels(capsys, "dead-letters", task, 98, "--json").data["missing"] == [98]
    assert bool(deadletters.listed("SalesByDay")) == (task == "show")
