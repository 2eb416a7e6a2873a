"""The check names each trigger that is not there as declared, and a deployment puts it back."""

import threading

import pytest
from django.db import OperationalError, connection, models, transaction
from django.db.models import F
from django.test.utils import isolate_apps

from orders.models import Order
from project import child
from readmodels import capture, declare, generations, outbox, testing
from readmodels.checks import check_triggers
from readmodels.declare import Document
from readmodels.models import Generation
from tests.rows import add_order, add_user
from tests.threads import at_once
from users.models import User

NAME = "readmodels_capture_update_users_user"


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def said() -> str:
    return " ".join(f"{warning.id} {warning.msg}" for warning in check_triggers(None, databases=["default"]))


@pytest.fixture
def repaired(store):
    """The triggers are afterwards as they should be."""
    yield store
    generations.deploy()
    assert said() == ""


BREAKS = {
    "dropped": f"DROP TRIGGER {NAME} ON users_user",
    "switched off": f"ALTER TABLE users_user DISABLE TRIGGER {NAME}",
    "off for replicated writes": f"ALTER TABLE users_user ENABLE TRIGGER {NAME}",
    "of another form": f"COMMENT ON TRIGGER {NAME} ON users_user IS 'another'",
}


@pytest.mark.parametrize("sql", BREAKS.values(), ids=BREAKS)
def test_broken_trigger_is_named(repaired, sql):
    run(sql)
    assert said() == f"readmodels.W001 capture is not installed as declared: {NAME}"


@pytest.mark.parametrize("sql", BREAKS.values(), ids=BREAKS)
def test_deployment_puts_it_back(repaired, sql):
    run(sql)
    generations.deploy()
    assert said() == ""
    add_user()
    testing.drain(repaired)
    User.objects.update(name="New")
    assert outbox.backlog_rows() == 1


def test_nothing_is_written_past_them(repaired):
    """pgtrigger's own may be told to stand aside."""
    add_user()
    testing.drain(repaired)
    run(f"SET pgtrigger.ignore = '{{{NAME}}}'")
    User.objects.update(name="New")
    run("RESET pgtrigger.ignore")
    assert outbox.backlog_rows() == 1


def test_all_at_once_are_named(repaired):
    run("ALTER TABLE users_user DISABLE TRIGGER USER")
    assert said().count("users_user") == 4


def test_triggers_in_place_need_no_word(store):
    assert said() == ""


def test_other_databases_are_not_asked(store):
    assert check_triggers(None) == check_triggers(None, databases=["other"]) == []


def test_deployment_takes_off_what_nothing_needs(repaired):
    run(
        "CREATE TRIGGER readmodels_capture_update_left AFTER UPDATE ON django_session"
        " EXECUTE FUNCTION readmodels_capture_truncate_users_user()"
    )
    generations.deploy()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_trigger WHERE tgname = 'readmodels_capture_update_left'")
        assert cursor.fetchone() == (0,)


WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'users_user'::regclass)"
CHANGED = "COMMENT ON TRIGGER {} ON {} IS 'another'"


def test_deployment_and_writer_never_deadlock(repaired):
    """The writer holds one of two tables that a deployment changes, and goes on to the other."""
    add_order(add_user())
    run(CHANGED.format("readmodels_capture_update_orders_order", "orders_order"))
    run(CHANGED.format(NAME, "users_user"))

    def write() -> None:
        with transaction.atomic():
            User.objects.select_for_update().get()
            assert child.wait_until(is_waiting, 10)
            Order.objects.update(total_cents=7)

    assert at_once(write, lambda: len(generations.deploy())) == [None, 0]


def test_deployment_that_waits_lets_writers_pass(repaired, monkeypatch):
    monkeypatch.setattr(capture, "LOCK_PAUSE_SECONDS", 0.1)
    add_user()
    run(CHANGED.format(NAME, "users_user"))
    has_waited, has_written = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            User.objects.select_for_update().get()
            assert child.wait_until(is_waiting, 10)
            has_waited.set()
            assert has_written.wait(10)

    def write() -> None:
        assert has_waited.wait(10)
        add_user()
        has_written.set()

    assert at_once(hold, write, lambda: len(generations.deploy())) == [None, None, 0]


def test_deployment_that_finds_no_moment_gives_up(repaired, monkeypatch):
    monkeypatch.setattr(capture, "LOCK_TRIES", 1)
    add_user()
    run(CHANGED.format(NAME, "users_user"))
    has_begun, has_ended = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            User.objects.select_for_update().get()
            has_begun.set()
            assert has_ended.wait(10)

    def deploy() -> None:
        assert has_begun.wait(10)
        try:
            generations.deploy()
        finally:
            has_ended.set()

    assert isinstance(at_once(hold, deploy)[1], OperationalError)


def is_waiting() -> bool:
    """Whether the deployment waits for the writer."""
    with connection.cursor() as cursor:
        cursor.execute(WAITING)
        return bool(cursor.fetchone()[0])


@isolate_apps("tests")
def test_tables_of_odd_and_long_names_are_captured(repaired):
    names = [f"Odd Table, {'x' * 48} {number}" for number in range(2)]
    odd = [
        type(
            f"Odd{number}",
            (models.Model,),
            {
                "__module__": __name__,
                "name": models.TextField(db_column="The Name"),
                "Meta": type("Meta", (), {"app_label": "tests", "db_table": name}),
            },
        )
        for number, name in enumerate(names)
    ]
    try:
        with connection.schema_editor() as editor:
            for model in odd:
                editor.create_model(model)
        for model in odd:
            type(f"Throwaway{model.__name__}", (Document,), {"root": model, "body": {"name": F("name")}})
        generations.deploy()
        for model in odd:
            model.objects.create(name="before")
        testing.drain(repaired)
        testing.assert_law(repaired)
        for model in odd:
            model.objects.update(name="after")
        assert outbox.backlog_rows() == 2
        testing.drain(repaired)
        testing.assert_law(repaired)
    finally:
        for model in odd:
            declare.forget(f"Throwaway{model.__name__}")
        Generation.objects.filter(read_model__startswith="Throwaway").delete()
        with connection.schema_editor() as editor:
            for model in odd:
                editor.delete_model(model)


def test_names_of_triggers_fit_and_differ():
    names = [capture._name("TRUNCATE", f"{'x' * 60}{number}") for number in range(10)]
    assert len(set(names)) == 10
    assert max(map(len, names)) <= 63
