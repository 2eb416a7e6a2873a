"""One poison document among many, in real worker processes: all others are projected, it alone is parked."""

import json

from django.db import connection

from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from project import child
from readmodels import deadletters, faults, isolation, switching
from readmodels.query import Reader
from tests.faults.small_writes import SmallWrites
from tests.faults.system import HEAL_SECONDS, KILLED, LAG_SECONDS, System, scaled
from tests.faults.watcher import Watcher

# No measure can hold it, so no list of orders can show it; the order's own page can.
POISON_CENTS = 10**16
LISTS = {"CustomerOrders", "OrdersByStatus", "SalesByDay"}
# All others of a change of 10,000 orders, which are 40,000 documents and rows, with the poison among them.
OTHERS_SECONDS = 30.0
# The attempts are spread over 6 s, 0.4 + 0.8 + 1.6 + 3.2; each waits for the next sweep.
PARK_SECONDS = 20.0
# The same where it takes a worker along each time: some ten deaths, after each of which what was in hand waits for a
# lease of 2 s and for another process.
DEADLY_SECONDS = 60.0


def test_one_poison_document_among_10000_blocks_no_other(system: System):
    customers = system.add_customers(8)
    orders = add_orders(customers, 10_000)
    assert system.is_settled_within(OTHERS_SECONDS)
    poison = orders[len(orders) // 2]
    with Watcher(customers) as watcher:
        with SmallWrites() as others:
            change_all(orders, 1, poison=poison)
            assert child.wait_until(lambda: are_shown(system, orders, 1, but=poison), OTHERS_SECONDS)
            done = others.done
            assert child.wait_until(lambda: parked() == {(name, str(poison)) for name in LISTS}, PARK_SECONDS)
            assert max(others.lags_since(done)) < LAG_SECONDS
        for letter in deadletters.listed():
            assert "OVERFLOW" in letter.error
            assert "Traceback" in letter.traceback
            assert letter.attempts == isolation.PARK_AFTER
        Order.objects.filter(pk=poison).update(total_cents=1)
        assert child.wait_until(lambda: not parked(), LAG_SECONDS)
        system.assert_converged(watcher)
    system.is_sound = False  # the next test need not verify 10,000 orders


def test_document_that_kills_its_worker_each_time_is_parked_and_no_other(system: System):
    customers = system.add_customers(8)
    orders = add_orders(customers, scaled(2_000, 10_000))
    assert system.is_settled_within(OTHERS_SECONDS)
    deadly = orders[len(orders) // 2]
    with Watcher(customers) as watcher:
        system.restart(READMODELS_FAULT=f"{faults.AMID_BUILD}=OrderDetail/{deadly}:kill")
        with SmallWrites() as others:
            change_all(orders, 2)
            assert child.wait_until(lambda: are_shown(system, orders, 2, but=deadly), DEADLY_SECONDS)
            assert child.wait_until(lambda: bool(parked()), DEADLY_SECONDS)
        assert max(others.lags_since()) < DEADLY_SECONDS
        assert system.log("worker").count(KILLED) > isolation.PARK_AFTER
        assert {key for _, key in parked()} == {str(deadly)}
        assert all("Died" in letter.error for letter in deadletters.listed())
        # Whoever else would have to build it lets it be.
        deaths, number = system.log("worker").count(KILLED), switching.begin("OrderDetail")
        assert child.wait_until(lambda: switching.state("OrderDetail", number) == "live", DEADLY_SECONDS)
        assert system.log("worker").count(KILLED) == deaths
        system.restart()
        Order.objects.filter(pk=deadly).update(total_cents=3)
        assert child.wait_until(lambda: not parked(), HEAL_SECONDS)
        system.assert_converged(watcher)
    system.is_sound = False


def add_orders(customers: list[int], number: int) -> list[int]:
    """So many orders in one statement; returns their ids."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO orders_order (customer_id, status) SELECT (%s::bigint[])[1 + n %% %s], 'paid'"
            " FROM generate_series(1, %s) n RETURNING id",
            [customers, len(customers), number],
        )
        return [id for [id] in cursor.fetchall()]


def change_all(orders: list[int], total_cents: int, poison: int | None = None) -> None:
    """All orders have this total but one, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE orders_order SET total_cents = CASE WHEN id = %s THEN %s ELSE %s END WHERE id = ANY(%s)",
            [poison, POISON_CENTS, total_cents, orders],
        )


def are_shown(system: System, orders: list[int], total_cents: int, but: int) -> bool:
    """Whether every order but one shows this total."""
    answers = Reader(system.store).documents(OrderDetail, [id for id in orders if id != but])
    return all(answer.body and json.loads(answer.body)["total_cents"] == total_cents for answer in answers)


def parked() -> set[tuple[str, str]]:
    return {(letter.read_model, letter.key) for letter in deadletters.listed()}
