"""A new generation beside the live one: gone on with where it stopped, switched to, gone back from, given up."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models import F

from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from readmodels import building, builds, declare, generations, keys, models, outbox, rebuild, switching, testing
from readmodels.declare import Document
from readmodels.errors import CannotSwitch, CursorOver, RebuildCancelled
from readmodels.query import Reader
from readmodels.store import Store
from tests.cli import readmodels
from tests.reading import body
from tests.rows import add_order, add_user
from users.models import User


@pytest.fixture
def declaring():
    """Declares a document that no app has, over and over."""

    def declared(**attributes):
        declare.forget("Throwaway")
        return type("Throwaway", (Document,), {"root": User, **attributes})

    yield declared
    declare.forget("Throwaway")
    models.Generation.objects.filter(read_model="Throwaway").delete()
    generations.deploy()


def run(*words: str) -> tuple[int, dict]:
    """(exit code, answer) of `manage.py readmodels`."""
    out = StringIO()
    try:
        call_command("readmodels", *words, "--json", stdout=out)
    except SystemExit as ended:
        return int(ended.code), json.loads(out.getvalue() or "{}")
    return 0, json.loads(out.getvalue())


def live(name: str) -> int:
    return models.Generation.objects.get(read_model=name, state="live").number


class Stopped(Exception):
    """As a kill between two ranges."""


# Rebuilding


def test_rebuild_makes_a_new_generation_of_one_read_model(store):
    add_order(add_user())
    testing.drain(store)
    before = generations.pointers()
    code, answer = run("rebuild", "OrderDetail")
    assert (code, answer["state"]) == (0, "live")
    changed = {name.split("/")[0] for name, number in generations.pointers().items() if before.get(name) != number}
    assert changed == {"OrderDetail"}
    testing.assert_law(store)


def test_rebuild_goes_on_where_it_stopped(store, configured):
    configured(BATCH_ROWS=2, RANGE_BATCHES=1)
    for _ in range(7):
        add_user()
    testing.drain(store)
    number = switching.begin("UserProfile")
    stop_after(2, store)
    [progress] = builds.progress()
    assert (progress.generation, progress.rows, progress.is_filled) == (number, 4, False)
    again: list[int] = []
    rebuild.repair(store, on_range=lambda name, rows: again.append(rows))
    assert sum(again) == 3
    assert live("UserProfile") == number
    testing.assert_law(store)


def test_rebuild_begins_again_where_redis_was_lost(store, configured):
    configured(BATCH_ROWS=2, RANGE_BATCHES=1)
    for _ in range(5):
        add_user()
    testing.drain(store)
    number = switching.begin("UserProfile")
    stop_after(1, store)
    store._client.flushall()
    testing.drain(store)
    assert live("UserProfile") == number
    testing.assert_law(store)


def stop_after(ranges: int, store: Store) -> None:
    """A repair that ends after so many ranges."""
    seen: list[int] = []

    def stop(name: str, rows: int) -> None:
        seen.append(rows)
        if len(seen) == ranges:
            raise Stopped

    with pytest.raises(Stopped):
        rebuild.repair(store, on_range=stop)


def test_second_rebuild_joins_the_first(store):
    add_user()
    testing.drain(store)
    assert switching.begin("UserProfile") == switching.begin("UserProfile")


def test_cancelled_rebuild_leaves_the_live_generation(store, configured):
    configured(BATCH_ROWS=1, RANGE_BATCHES=1)
    for _ in range(3):
        add_user()
    testing.drain(store)
    before = live("UserProfile")
    number = switching.begin("UserProfile")
    ranges: list[str] = []

    def cancel(name: str, rows: int) -> None:
        ranges.append(name)
        assert run("cancel", "UserProfile") == (0, {"read_model": "UserProfile", "cancelled": 1})

    rebuild.repair(store, on_range=cancel)
    assert (ranges, live("UserProfile")) == (["UserProfile"], before)
    with pytest.raises(RebuildCancelled):
        builds.require_wanted(next(each for each in current(number)))
    assert run("cancel", "UserProfile")[0] == 1
    generations.drop_retired(store, after_seconds=0)
    assert not list(store._client.scan_iter(match=keys.pattern("UserProfile", number)))


def current(number: int) -> list[generations.Generation]:
    row = models.Generation.objects.get(read_model="UserProfile", number=number)
    return [generations.Generation(row.id, row.number, row.state, row.fingerprint, generations.from_data(row.plan))]


def test_ctrl_c_cancels_and_the_next_rebuild_begins_anew(store, monkeypatch):
    add_user()
    testing.drain(store)
    before = live("UserProfile")

    def interrupt(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(building, "root_builds", interrupt)
        code, answer = run("rebuild", "UserProfile")
        assert (code, answer["state"]) == (1, "cancelled")
    assert live("UserProfile") == before
    testing.assert_law(store)
    assert run("rebuild", "UserProfile")[1]["state"] == "live"


def test_switch_waits_for_changes_of_before_the_registration(store):
    add_user()
    testing.drain(store)
    before = live("UserProfile")
    add_user()  # pending
    number = switching.begin("UserProfile")
    rebuild.repair(store)
    assert live("UserProfile") == before
    testing.drain(store)
    assert live("UserProfile") == number


def test_generation_that_is_not_right_is_mended_before_it_is_switched_to(store):
    user = add_user()
    testing.drain(store)
    before, number = live("UserProfile"), switching.begin("UserProfile")

    def lose(name: str, rows: int) -> None:
        if rows:  # filled, not yet looked at
            store._client.delete(keys.document("UserProfile", number, str(user.pk)))

    rebuild.repair(store, on_range=lose)
    assert live("UserProfile") == before
    rebuild.repair(store)
    assert live("UserProfile") == number
    testing.assert_law(store)


# A part


def test_chosen_documents_are_built_again(store):
    customer = add_user()
    paid, placed = add_order(customer, status="paid"), add_order(customer)
    testing.drain(store)
    for order in (paid, placed):
        store._client.delete(keys.document("OrderDetail", live("OrderDetail"), str(order.pk)))
    assert run("rebuild", "OrderDetail", "--where", "status=paid") == (0, {"read_model": "OrderDetail", "documents": 1})
    assert body(store, OrderDetail, paid.pk) is not None
    assert body(store, OrderDetail, placed.pk) is None
    assert run("rebuild", "OrderDetail", "--key", str(placed.pk))[1]["documents"] == 1
    assert body(store, OrderDetail, placed.pk) is not None


def test_key_that_has_no_row_any_more_is_taken_off(store):
    order = add_order(add_user())
    testing.drain(store)
    copy = store._client.get(keys.document("OrderDetail", live("OrderDetail"), str(order.pk)))
    Order.objects.all().delete()
    testing.drain(store)
    store._client.set(keys.document("OrderDetail", live("OrderDetail"), str(order.pk)), copy)
    run("rebuild", "OrderDetail", "--key", str(order.pk))
    assert body(store, OrderDetail, order.pk) is None


def test_documents_of_a_time_are_built_again(store):
    customer = add_user()
    old, new = (add_order(customer, placed_at=f"2026-11-{day}T12:00Z") for day in ("01", "20"))
    testing.drain(store)
    for order in (old, new):
        store._client.delete(keys.document("OrderDetail", live("OrderDetail"), str(order.pk)))
    since = ("--where", "placed_at__gte=2026-11-20T13:59+02:00", "--where", "status__in=placed,paid")
    assert run("rebuild", "OrderDetail", *since)[1]["documents"] == 1
    assert body(store, OrderDetail, new.pk) is not None
    assert body(store, OrderDetail, old.pk) is None


REFUSED = {
    "--where=colour=red": "Cannot resolve keyword 'colour'",
    "--where=customer_id=Ada": "expected a number but got 'Ada'",
    "--where=placed_at__gte=soon": "It must be in YYYY-MM-DD",
    "--where=placed_at__gte=2026-11-01": "accepted: with its time zone, for example 2026-11-01T00:00Z",
    "--where=placed_at__gte=2026-11-01T00:00": "accepted: with its time zone",
    "--where=customer__isnull=no": "accepted: true, false",
    "--where=id=99999999999999999999": "no Order can be like this",
    "--key=1 --where=id=1": "--where: not allowed with argument --key",
    "--where=id=1 --where=id=2": "names a field twice",
    "--key=abc": 'invalid input syntax for type bigint: "abc"',
}


@pytest.mark.parametrize(("option", "reason"), REFUSED.items(), ids=REFUSED)
def test_selection_that_can_not_be_made_is_refused(store, capsys, option, reason):
    add_order(add_user())
    testing.drain(store)
    answer = readmodels(capsys, "rebuild", "OrderDetail", *option.split(" "))
    assert (answer.code, reason in answer.error, len(answer.error.splitlines())) == (2, True, 1), answer.error
    assert outbox.backlog_rows() == 0


# Back and forth


def test_rollback_serves_the_generation_before_at_once(store, declaring):
    user = add_user(name="Ada")
    declaring(body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    first = live("Throwaway")
    new = declaring(body={"called": F("name")})
    generations.deploy()
    testing.drain(store)
    User.objects.update(name="Countess")
    testing.drain(store)
    assert body(store, new, user.pk) == {"called": "Countess"}
    assert run("rollback", "Throwaway") == (0, {"read_model": "Throwaway", "generation": first})
    assert body(store, new, user.pk) == {"name": "Countess"}
    User.objects.update(name="Lady")
    testing.drain(store)
    assert body(store, new, user.pk) == {"name": "Lady"}
    assert run("switch", "Throwaway", str(first + 1))[0] == 0
    assert body(store, new, user.pk) == {"called": "Lady"}


def test_code_of_before_is_served_its_own_generation(store, declaring):
    """As in a rolling deployment: both versions of the code run, and each reads what it declares."""
    user = add_user(name="Ada")
    old = declaring(body={"name": F("name")})
    old_reader = Reader(store)
    generations.deploy()
    testing.drain(store)
    assert json.loads(old_reader.document(old, user.pk).body) == {"name": "Ada"}
    new = declaring(body={"called": F("name")})
    generations.deploy()
    testing.drain(store)
    User.objects.update(name="Countess")
    testing.drain(store)
    assert body(store, new, user.pk) == {"called": "Countess"}
    assert body(store, old, user.pk) == {"name": "Countess"}


def test_code_of_before_is_served_the_live_one_before_its_own_is_given_up(store, declaring):
    user = add_user(name="Ada")
    old = declaring(body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    declaring(body={"called": F("name")})
    generations.deploy()
    testing.drain(store)
    assert body(store, old, user.pk) == {"name": "Ada"}
    kept = models.Generation.objects.filter(read_model="Throwaway", state="retired")
    kept.update(retired_at=F("retired_at") - timedelta(hours=1))
    testing.drain(store)
    assert body(store, old, user.pk) == {"called": "Ada"}
    assert kept.exists()


def test_code_of_before_deployed_again_is_gone_back_to(store, declaring):
    declaring(body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    first = live("Throwaway")
    declaring(body={"called": F("name")})
    generations.deploy()
    testing.drain(store)
    declaring(body={"name": F("name")})
    assert generations.deploy() == []
    assert live("Throwaway") == first


def test_rollback_to_nothing_is_refused_with_the_reason(store, declaring):
    declaring(body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    code, answer = run("rollback", "Throwaway")
    assert code == 1
    assert "was switched away from" in answer["refused"]


def test_number_of_a_dropped_generation_is_not_given_again(store):
    given = []
    for _ in range(3):
        given.append(switching.begin("UserProfile"))
        switching.cancel("UserProfile")
        generations.drop_retired(store, after_seconds=0)
    assert len({*given}) == 3


def test_generation_that_is_not_current_is_not_switched_to(store):
    with pytest.raises(CannotSwitch, match=r"generation 99 of OrderDetail does not exist; there are \d+ \(live\)"):
        switching.switch(store, "OrderDetail", 99)
    assert run("switch", "OrderDetail", "99")[0] == 2


def test_cursor_of_another_generation_is_over(store):
    customer = add_user()
    for _ in range(3):
        add_order(customer)
    testing.drain(store)
    cursor = Reader(store).page(CustomerOrders, customer.pk, limit=2).next_cursor
    assert len(Reader(store).page(CustomerOrders, customer.pk, cursor=cursor).rows) == 1
    run("rebuild", "CustomerOrders")
    with pytest.raises(CursorOver):
        Reader(store).page(CustomerOrders, customer.pk, cursor=cursor)


# Deploying


def test_check_says_what_is_to_be_deployed_and_does_nothing(store, declaring):
    assert run("deploy", "--check") == (0, {"triggers": [], "generations": []})
    declaring(body={"name": F("name")})
    assert run("deploy", "--check") == (1, {"triggers": [], "generations": ["Throwaway"]})
    assert run("deploy") == (0, {"triggers": [], "generations": ["Throwaway"]})
    assert run("deploy", "--check")[0] == 0
