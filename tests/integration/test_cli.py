"""The command line: tables for people, JSON and exit codes for scripts, and one line for whatever can't be done."""

import os
import re
import signal
import subprocess
import sys

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from project.child import wait_until
from project.env import ROOT
from readmodels import connection as redis_connection
from readmodels import generations, keys, models, outbox, projector, testing
from readmodels.cli import ACTIONS
from readmodels.cli.touched import count
from readmodels.declare import declared
from readmodels.fingerprint import fingerprint
from readmodels.management.commands.readmodels import Command
from tests.cli import readmodels
from tests.rounds import go_round
from tests.rows import add_line, add_order, add_product, add_user
from tests.unreachable import no_postgresql, no_redis
from users.commands import rename_user
from users.models import User

WITHIN_SECONDS = 30
PAGE = ROOT / "docs" / "reference" / "command-line.md"
by_action = pytest.mark.parametrize("action", ACTIONS.values(), ids=list(ACTIONS))


# Every action


@by_action
def test_help_teaches(capsys, action):
    answer = readmodels(capsys, action.name, "--help")
    assert answer.code == 0
    assert action.description in answer.out
    assert "examples:\n  manage.py readmodels " in answer.out
    assert "exit codes:\n  0 " in answer.out
    assert "\n  2 " in answer.out


@by_action
def test_examples_are_accepted(action):
    parser = Command().create_parser("manage.py", "readmodels")
    for example in action.examples:
        assert parser.parse_args(example.split()).action == action.name


@by_action
def test_reference_names_each_option_and_exit_code(action):
    _, _, section = PAGE.read_text().partition(f"\n## {action.name}\n")
    section = section.partition("\n## ")[0]
    assert section, f"{PAGE.name} has no section {action.name}"
    assert all(f"| {code.value} | {text} |" in section for code, text in action.all_exits.items())
    parser = Command().create_parser("manage.py", "readmodels")
    own = next(group for group in parser._actions if group.dest == "action").choices[action.name]
    options = {option for each in own._actions for option in each.option_strings if option.startswith("--")}
    assert {option for option in options - {"--help"} if f"`{option}" not in section} == set()


def test_help_lists_every_action(capsys):
    answer = readmodels(capsys, "--help")
    assert answer.code == 0
    assert "Exit codes: 0 " in answer.out
    assert all(f"    {name} " in answer.out for name in ACTIONS)


WRONG = {
    "": "required: list | status | fingerprints | deploy",
    "nix": "'nix' (choose from 'list', 'status', 'fingerprints', 'deploy'",
    "status --nix": "--help tells what is accepted",
    "verify Nix": "accepted: AccessGrant, CustomerOrders, ImportReport, OrderDetail",
    "verify --sample 0": "accepted: a whole number from 1",
    "why": "required: NAME, KEY; --help tells what is accepted",
    "why Nix 1": "accepted: AccessGrant, CustomerOrders, ImportReport, OrderDetail",
    "why OrderDetail x": "'x' is no orders.Order.id; accepted: Big (8 byte) integer",
    "why CustomerOrders 1/x": "'x' is no orders.Order.id; accepted: Big (8 byte) integer",
    "why OrderDetail 1 --rows 0": "accepted: a whole number from 1",
    "touched Nix 1": "orders.Order, orders.OrderLine, orders.Product, users.User",
    "touched users.Nix 1": "orders.Order, orders.OrderLine, orders.Product, users.User",
    "touched users.User x": "'x' is no users.User.id; accepted: Big (8 byte) integer",
    "touched users.User 99": "accepted: the primary key of a row that there is",
    "touched users.User 99 --field nix": "accepted: id, password",
    "dead-letters nix": "choose from 'list', 'show', 'retry', 'discard'",
    "dead-letters show": "accepted: one ID or more",
    "dead-letters show x": "accepted: a whole number from 1",
    "dead-letters show 99999999999999999999": "accepted: a whole number from 1",
    "dead-letters discard": "accepted: one ID or more",
    "dead-letters discard --all": "accepted: retry --all",
    "dead-letters list 3": "accepted: show 3",
    "dead-letters retry": "accepted: either IDs, as `dead-letters list` shows them, or --all",
    "dead-letters retry 1 --all": "accepted: either IDs",
    "dead-letters retry 1 --read-model OrderDetail": "accepted with list, and with retry --all",
    "dead-letters --limit none": "accepted: a whole number from 1",
    "relay --poll-ms=0": "accepted: a whole number from 1 to 1000",
}


@pytest.mark.parametrize("words", WRONG)
def test_wrong_argument_is_refused_in_one_line(store, capsys, words):
    answer = readmodels(capsys, *words.split())
    assert answer.code == 2
    assert WRONG[words] in answer.error
    assert len(answer.error.splitlines()) == 1
    assert answer.out == ""


def test_wrong_argument_of_a_call_is_an_error_to_catch():
    with pytest.raises(CommandError, match="accepted: AccessGrant"):
        call_command("readmodels", "verify", "Nix")


@pytest.mark.parametrize(
    "words", ["list", "status", "verify", "why OrderDetail 1", "touched users.User 1", "dead-letters"]
)
def test_postgresql_that_does_not_answer_is_told_in_one_line(store, capsys, monkeypatch, words):
    no_postgresql(monkeypatch)
    answer = readmodels(capsys, *words.split())
    assert (answer.code, answer.out) == (2, "")
    assert answer.error == f"{words.split()[0]}: PostgreSQL: connection refused"


@pytest.mark.parametrize("words", ["verify", "why OrderDetail 1"])
def test_redis_that_does_not_answer_is_told_in_one_line(store, capsys, monkeypatch, words):
    add_order(add_user(), id=1)
    no_redis(monkeypatch)
    answer = readmodels(capsys, *words.split())
    assert (answer.code, answer.out) == (2, "")
    assert answer.error.startswith(f"{words.split()[0]}: Redis: ")
    assert len(answer.error.splitlines()) == 1


# list


def test_list_shows_what_each_read_model_is_made_of(store, capsys):
    found = {row["read_model"]: row for row in readmodels(capsys, "list", "--json").data["read_models"]}
    assert set(found) == set(declared())
    detail = found["OrderDetail"]
    assert (detail["kind"], detail["root"]) == ("document", "orders_order")
    assert detail["depends_on"]["users_user"] == ["name"]
    assert detail["fingerprint"] == detail["served_fingerprint"] == fingerprint(OrderDetail)
    assert detail["served_generation"] == models.Generation.objects.get(read_model="OrderDetail", state="live").number


def test_list_for_people_is_a_table_with_a_line_for_each_table(store, capsys):
    answer = readmodels(capsys, "list")
    assert answer.code == 0
    assert any("OrderDetail" in line and "document" in line for line in answer.out.splitlines())
    assert "users_user (name)" in answer.out


# status


def lag(capsys, read_model):
    rows = readmodels(capsys, "status", "--json").data["read_models"]
    return next(row["lag_seconds"] for row in rows if row["read_model"] == read_model)


def test_status_gives_lag_by_read_model(store, capsys):
    user = add_user()
    testing.drain(store)
    assert lag(capsys, "UserProfile") == 0
    rename_user(user_id=user.pk, name="B")
    assert lag(capsys, "UserProfile") > 0
    assert lag(capsys, "ProductCard") == 0


def test_status_gives_the_backlog_by_lane(store, capsys, configured):
    configured(fan_out_documents=3)
    user = add_user()
    for _ in range(5):
        add_order(user)
    testing.drain(store)
    rename_user(user_id=user.pk, name="B")
    projector.settle(store)
    add_product()
    data = readmodels(capsys, "status", "--json").data
    lanes = {row["lane"]: row["backlog_rows"] for row in data["lanes"]}
    assert lanes == {"live": 1, "bulk": 1, "newer": 0}
    assert data["backlog_rows"] == 2
    lags = {row["read_model"]: row["lag_seconds"] for row in data["read_models"]}
    assert lags["OrderDetail"] > 0  # by what the bulk lane has left
    assert lags["UserProfile"] == 0


def test_status_for_people_ends_with_totals_and_alarms(store, capsys):
    models.Heartbeat.objects.update(store_id="")
    lines = readmodels(capsys, "status").out.splitlines()
    assert "backlog_rows 0  lag_seconds 0.0  dead_letters 0" in lines
    assert lines[-1].startswith("ALARM: no Redis is trusted")


def test_status_tells_since_when_all_is_verified(store, capsys):
    user = add_user()
    testing.drain(store)
    assert {row["verified_as_of"] for row in readmodels(capsys, "status", "--json").data["verified"]} == {None}
    redis_connection.read_models().delete(
        keys.document("UserProfile", generations.pointers()["UserProfile"], str(user.pk))
    )
    go_round(store)
    found = {row["read_model"]: row for row in readmodels(capsys, "status", "--json").data["verified"]}
    assert all(row["verified_as_of"] for row in found.values())
    assert {name: row["found"] for name, row in found.items() if row["found"]} == {"UserProfile": 1}
    answer = readmodels(capsys, "status").out
    assert "verified_as_of" in answer
    assert "ALARM: the scrub's last round found drift: UserProfile (1)" in answer
    go_round(store)
    assert "ALARM" not in readmodels(capsys, "status").out


# verify


def test_verify_finds_drift(store, capsys):
    order = add_order(add_user())
    testing.drain(store)
    assert readmodels(capsys, "verify").code == 0
    redis_connection.read_models().delete(
        keys.document("OrderDetail", generations.pointers()["OrderDetail"], str(order.pk))
    )
    answer = readmodels(capsys, "verify", "--json")
    assert answer.code == 1
    found = {row["read_model"]: row["missing"] for row in answer.data["read_models"]}
    assert found["OrderDetail"] == [str(order.pk)]


def test_verify_compares_the_named_read_models_alone(store, capsys):
    order = add_order(add_user())
    testing.drain(store)
    redis_connection.read_models().delete(
        keys.document("OrderDetail", generations.pointers()["OrderDetail"], str(order.pk))
    )
    answer = readmodels(capsys, "verify", "UserProfile", "CustomerOrders", "--json")
    assert answer.code == 0
    assert {row["read_model"] for row in answer.data["read_models"]} == {"UserProfile", "CustomerOrders"}


def test_verify_mends_what_differs_when_told_to(store, capsys):
    order = add_order(add_user())
    testing.drain(store)
    live = generations.pointers()["OrderDetail"]
    redis_connection.read_models().delete(keys.document("OrderDetail", live, str(order.pk)))
    assert readmodels(capsys, "verify").code == 1
    answer = readmodels(capsys, "verify", "--repair", "--json")
    assert answer.code == 0
    assert {row["read_model"]: row["mended"] for row in answer.data["read_models"]}["OrderDetail"] == 1
    assert readmodels(capsys, "verify").code == 0


def test_verify_samples(store, capsys):
    for _ in range(20):
        add_user()
    testing.drain(store)
    found = readmodels(capsys, "verify", "UserProfile", "--sample", 3, "--json").data["read_models"][0]
    assert 0 < found["compared"] < 20


# touched


@pytest.fixture
def shop(store):
    """A customer with five orders, two of them with a line of one product; others have theirs."""
    customer, product = add_user(), add_product()
    orders = [add_order(customer) for _ in range(5)]
    for order in orders[:2]:
        add_line(order, product)
    add_line(add_order(add_user()), add_product())
    testing.drain(store)
    return customer, product, orders


def touched(answer):
    return {row["read_model"]: row["documents"] for row in answer.data["read_models"]}


def test_touched_counts_what_a_rename_reaches(shop, capsys):
    customer, _, _ = shop
    answer = readmodels(capsys, "touched", "users.User", customer.pk, "--field", "name", "--json")
    assert touched(answer) == {"OrderDetail": 5, "OrdersByStatus": 5, "UserProfile": 1}
    assert (answer.code, answer.data["documents"]) == (0, 11)


def test_touched_by_a_field_that_nothing_uses_is_nothing(shop, capsys):
    customer, _, _ = shop
    answer = readmodels(capsys, "touched", "users.User", customer.pk, "--field", "password")
    assert answer.code == 0
    assert "no read model uses password of users.User" in answer.out


def test_touched_counts_by_way_of_lists(shop, capsys):
    _, product, _ = shop
    answer = readmodels(capsys, "touched", "orders.Product", product.pk, "--field", "name", "--json")
    assert touched(answer) == {"OrderDetail": 2, "ProductCard": 1, "ProductList": 1}


def test_touched_takes_every_used_column_by_default(shop, capsys):
    *_, orders = shop
    answer = readmodels(capsys, "touched", "orders.OrderLine", orders[0].lines.get().pk, "--json")
    assert touched(answer) == {"OrderDetail": 1, "SalesByDay": 1}
    assert answer.data["columns"] == ["order_id", "position", "price_cents", "product_id", "quantity"]


def test_touched_is_what_the_change_then_touches(shop, capsys, store):
    customer, _, _ = shop
    told = readmodels(capsys, "touched", "users.User", customer.pk, "--field", "name", "--json").data["documents"]
    User.objects.filter(pk=customer.pk).update(name="B")
    batch = projector.read(store, range(outbox.SHARDS))
    assert len(batch.writes) == told


def test_touched_tells_what_the_bulk_lane_would_take(shop, capsys, configured):
    customer, _, _ = shop
    configured(fan_out_documents=4)
    answer = readmodels(capsys, "touched", "users.User", customer.pk, "--field", "name", "--json")
    assert answer.code == 1
    lanes = {row["read_model"]: row["lane"] for row in answer.data["read_models"]}
    assert lanes == {"OrderDetail": "bulk", "OrdersByStatus": "bulk", "UserProfile": "live"}
    configured(fan_out_documents=5)
    assert readmodels(capsys, "touched", "users.User", customer.pk, "--field", "name").code == 0


def test_document_that_is_reached_twice_counts_once(store):
    twice = [("SELECT unnest(%s::text[])", ["1", "2"]), ("SELECT unnest(%s::text[])", ["2", "3"])]
    with connection.cursor() as cursor:
        assert count(cursor, ["1"], twice) == 3


def test_touched_writes_nothing(shop, capsys):
    customer, _, _ = shop
    before = Order.objects.count(), User.objects.get(pk=customer.pk).name
    readmodels(capsys, "touched", "users.User", customer.pk)
    assert (Order.objects.count(), User.objects.get(pk=customer.pk).name) == before
    assert outbox.backlog_rows() == 0


def test_touched_gives_up_where_postgresql_takes_too_long(shop, capsys, configured):
    customer, _, _ = shop
    configured(statement_seconds=0.2)
    with psycopg.connect(**connection.get_connection_params()) as other:
        other.execute("LOCK TABLE orders_order IN ACCESS EXCLUSIVE MODE")
        answer = readmodels(capsys, "touched", "users.User", customer.pk)
    assert answer.code == 2
    # PostgreSQL says so itself, or is not waited for any longer.
    assert re.fullmatch(
        r"touched: PostgreSQL: (.* statement timeout|.* did not finish a statement within 0.2 s)", answer.error
    )


# relay


def test_relay_is_an_action_too(store, servers, tmp_path):
    name = connection.settings_dict["NAME"]
    environ = {
        **os.environ,
        "DATABASE_URL": servers.postgres.url.replace("@/readmodels?", f"@/{name}?"),
        "PYTHONUNBUFFERED": "1",
    }
    log = tmp_path / "relay.log"
    with log.open("w") as output:
        relay = subprocess.Popen(
            [sys.executable, ROOT / "manage.py", "readmodels", "relay"], env=environ, stdout=output, stderr=output
        )
    try:
        add_user()
        assert wait_until(lambda: outbox.backlog_rows() == 0 or relay.poll() is not None, WITHIN_SECONDS)
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(WITHIN_SECONDS) == 0, log.read_text()
    finally:
        relay.kill()
        relay.wait()
