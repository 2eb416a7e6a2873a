"""A new or changed declaration is built beside the live generation, then switched to; no other is touched."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.db.models import F, Q
from django.db.models.functions import ExtractYear, Now

from orders.models import Order, OrderLine
from readmodels import (
    deadletters,
    declare,
    generations,
    keys,
    models,
    outbox,
    projector,
    rebuild,
    sweeping,
    switching,
    testing,
)
from readmodels.deadletters import Failure
from readmodels.declare import Collection, Document, ReadModel
from readmodels.errors import CannotSwitch, StoreUnavailable
from readmodels.query import Reader
from readmodels.store import Store
from tests.reading import body
from tests.rows import add_line, add_order, add_product, add_user
from users.models import User
from users.readmodels.user_profile import UserProfile


@pytest.fixture
def declaring(store: Store) -> Iterator[Callable[..., Any]]:
    """Declares a read model for the test's time; a second one of the same name takes the place of the first."""

    def declared(kind: type[ReadModel], **attributes: Any) -> Any:
        declare.forget("Throwaway")
        return type("Throwaway", (kind,), attributes)

    yield declared
    declare.forget("Throwaway")
    models.Generation.objects.filter(read_model="Throwaway").delete()
    generations.deploy()


def number_of(name: str) -> int:
    return models.Generation.objects.get(read_model=name, state="live").number


def stored_keys(store: Store, read_model: str, generation: int) -> int:
    return sum(1 for _ in store._client.scan_iter(match=keys.pattern(read_model, generation), count=10_000))


# Declarations that are new or changed


def test_new_declaration_is_built_from_existing_rows(store, declaring):
    user = add_user(name="Ada")
    testing.drain(store)
    before = generations.pointers()
    initial = declaring(Document, root=User, body={"name": F("name")})
    assert generations.deploy() == ["Throwaway"]
    with pytest.raises(StoreUnavailable):
        Reader(store).document(initial, user.pk)
    testing.drain(store)
    testing.assert_law(store)
    assert body(store, initial, user.pk) == {"name": "Ada"}
    assert {name: number for name, number in generations.pointers().items() if "Throwaway" not in name} == before


def test_second_deployment_changes_nothing(store):
    assert generations.deploy() == []


def test_changed_declaration_is_built_beside_the_old(store, declaring):
    user = add_user(name="Ada", country="UK")
    old = declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    assert body(store, old, user.pk) == {"name": "Ada"}
    first = number_of("Throwaway")

    new = declaring(Document, root=User, body={"name": F("name"), "country": F("country")})
    assert generations.deploy() == ["Throwaway"]
    served: list[Any] = []
    rebuild.repair(store, on_range=lambda name, rows: served.append(body(store, new, user.pk)))
    assert {json.dumps(each) for each in served} == {'{"name": "Ada"}'}  # until the switch
    assert body(store, new, user.pk) == {"name": "Ada", "country": "UK"}
    assert number_of("Throwaway") == first + 1


def test_generation_switched_away_from_is_kept_for_readers_then_dropped(store, declaring):
    user = add_user(name="Ada")
    old = declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    stopped = Reader(store, clock=lambda: 0.0)  # holds its pointers for ever
    assert json.loads(stopped.document(old, user.pk).body) == {"name": "Ada"}
    first = number_of("Throwaway")

    declaring(Document, root=User, body={"called": F("name")})
    generations.deploy()
    testing.drain(store)
    User.objects.update(name="Countess")
    testing.drain(store)
    assert json.loads(stopped.document(old, user.pk).body) == {"name": "Countess"}

    for _ in range(2):  # it is given up, and later dropped
        models.Generation.objects.filter(number=first).update(retired_at=F("retired_at") - timedelta(hours=2))
        assert rebuild.is_due(store)
        testing.drain(store)
    assert stored_keys(store, "Throwaway", first) == 0
    assert not models.Generation.objects.filter(read_model="Throwaway", number=first).exists()
    testing.assert_law(store)


def test_change_during_a_drop_brings_nothing_back(store, declaring):
    add_user(name="Ada")
    declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    first = number_of("Throwaway")
    declaring(Document, root=User, body={"called": F("name")})
    generations.deploy()
    testing.drain(store)

    names = iter(range(100))

    def change(name: str) -> None:
        User.objects.update(name=f"Countess {next(names)}")
        projector.project(store, range(outbox.SHARDS))

    generations.drop_retired(store, after_seconds=0, on_batch=change)
    assert stored_keys(store, "Throwaway", first) == 0


def test_drop_goes_in_small_steps_and_on_where_it_was_stopped(store):
    user = add_user()
    testing.drain(store)
    first = number_of("UserProfile")
    store._client.mset({keys.document("UserProfile", first, f"more {number}"): b"" for number in range(2000)})
    switching.begin("UserProfile")
    testing.drain(store)
    models.Generation.objects.filter(number=first).update(retired_at="2026-01-01T00:00Z")
    steps: list[str] = []

    def stop(name: str) -> None:
        steps.append(name)
        if len(steps) == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generations.drop_retired(store, on_batch=stop)
    assert 0 < stored_keys(store, "UserProfile", first) < 2000
    assert rebuild.is_due(store)
    rebuild.repair(store)
    assert stored_keys(store, "UserProfile", first) == 0
    assert Reader(store).document(UserProfile, user.pk).body


def test_change_while_a_generation_is_built_is_in_it(store, declaring):
    user = add_user(name="Ada")
    testing.drain(store)
    new = declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    User.objects.update(name="Countess")
    projector.project(store, range(outbox.SHARDS))
    rebuild.repair(store)
    sweeping.publish_progress(store)
    assert body(store, new, user.pk) == {"name": "Countess"}


def test_truncation_while_a_generation_is_built_leaves_nothing(store, declaring):
    new = declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    new = declaring(Document, root=User, body={"called": F("name")})
    generations.deploy()
    user = add_user(name="Ada")
    projector.project(store, range(outbox.SHARDS))
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE users_user CASCADE")
    half_built = models.Generation.objects.get(read_model="Throwaway", state="building").number
    rebuild.repair(store)
    assert models.Generation.objects.get(read_model="Throwaway", number=half_built).state == "broken"
    assert number_of("Throwaway") == half_built + 1
    testing.drain(store)
    testing.assert_law(store)
    assert body(store, new, user.pk) is None
    add_user(name="Bob")
    testing.drain(store)
    assert body(store, new, User.objects.get().pk) == {"called": "Bob"}


def test_triggers_follow_the_declarations(store, declaring):
    add_user()
    testing.drain(store)
    declaring(Document, root=User, body={"password": F("password")})
    generations.deploy()
    testing.drain(store)
    User.objects.update(password="x")
    assert outbox.backlog_rows() == 1
    testing.drain(store)
    testing.assert_law(store)


# What the check accepts is served exactly


ODD = {
    "a year as partition": {"root": Order, "partition_by": ExtractYear("placed_at"), "order_by": F("id")},
    "a foreign key as order": {"root": Order, "partition_by": F("status"), "order_by": F("customer").desc()},
    "a filter elsewhere": {
        "root": Order,
        "partition_by": F("status"),
        "order_by": F("id"),
        "filter_by": ("customer__country", "currency"),
    },
    "a condition elsewhere": {
        "root": Order,
        "partition_by": F("status"),
        "order_by": F("id"),
        "where": Q(customer__name__contains="%"),
    },
    "lines by name of product": {"root": OrderLine, "partition_by": F("order_id"), "order_by": F("product__name")},
}


@pytest.mark.parametrize("attributes", ODD.values(), ids=ODD)
def test_odd_collection_obeys_the_law(store, declaring, attributes):
    declaring(Collection, **attributes, body={"id": F("id")}, measures={"n": declare.Count()})
    generations.deploy()
    customers = [add_user(name="100 %", country="UK"), add_user()]
    for number in range(6):
        add_line(add_order(customers[number % 2] if number else None), add_product())
    testing.drain(store)
    testing.assert_law(store)
    User.objects.update(name="Other", country="F/R=&|")
    Order.objects.filter(pk__lt=4).update(placed_at=F("placed_at") - timedelta(days=400), customer=customers[1])
    OrderLine.objects.filter(pk=2).update(order_id=5, position=9)
    Order.objects.filter(pk=1).update(status="paid", customer=None)
    OrderLine.objects.filter(order_id=6).delete()
    Order.objects.filter(pk=6).delete()
    testing.drain(store)
    testing.assert_law(store)


def test_order_of_the_model_itself_does_not_matter(store, declaring):
    """Permission's own ordering joins the content type, whose key a record of the row before does not have."""
    declaring(Collection, root=Permission, partition_by=F("codename"), order_by=F("name"), body={"id": F("id")})
    generations.deploy()
    testing.drain(store)
    permission = Permission.objects.order_by("pk").first()
    try:
        Permission.objects.filter(pk=permission.pk).update(codename="moved")
        testing.drain(store)
        testing.assert_law(store)
    finally:
        permission.save()


# A column that goes


def test_dropped_column_breaks_its_generation_and_no_write(store, declaring):
    user = add_user(name="Ada")
    declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    run("ALTER TABLE users_user ADD COLUMN nickname text")
    read_too("nickname")
    changed = declaring(Document, root=User, body={"called": F("name")})
    run("ALTER TABLE users_user DROP COLUMN nickname")
    generations.deploy()
    User.objects.update(name="Countess")
    testing.drain(store)
    testing.drain(store)
    assert body(store, changed, user.pk) == {"called": "Countess"}
    testing.assert_law(store)


@pytest.mark.parametrize("sql", ["DROP COLUMN nickname", "RENAME nickname TO called"])
def test_no_write_fails_between_a_drop_and_the_deployment(store, declaring, sql):
    user = add_user(name="Ada")
    declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    run("ALTER TABLE users_user ADD COLUMN nickname text")
    read_too("nickname")
    try:
        run(f"ALTER TABLE users_user {sql}")
        User.objects.update(name="Countess")
        other = add_user(name="Bob")
        assert outbox.backlog_rows() == 2
        other.delete()
        generations.deploy()
        testing.drain(store)
        assert body(store, UserProfile, user.pk)["name"] == "Countess"
        testing.assert_law(store)
    finally:
        run("ALTER TABLE users_user DROP COLUMN IF EXISTS called")


def test_dead_letters_go_with_their_generation(store, declaring):
    user = add_user(name="Ada")
    declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    number = number_of("Throwaway")
    deadletters.park([Failure("Throwaway", number, "users_user", str(user.pk), None, [], "gone", "")], attempts=1)
    models.Generation.objects.filter(read_model="Throwaway").update(state="broken", retired_at=Now())
    generations.drop_retired(store, after_seconds=0)
    assert not deadletters.listed()


def test_broken_generation_is_not_served(store, declaring):
    user = add_user(name="Ada")
    initial = declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    run("ALTER TABLE users_user ADD COLUMN nickname text")
    read_too("nickname")
    run("ALTER TABLE users_user DROP COLUMN nickname")
    generations.deploy()
    generations.point(store)
    with pytest.raises(StoreUnavailable):
        Reader(store).document(initial, user.pk)


def test_broken_generation_is_not_gone_back_to(store, declaring):
    declaring(Document, root=User, body={"name": F("name")})
    generations.deploy()
    testing.drain(store)
    run("ALTER TABLE users_user ADD COLUMN nickname text")
    read_too("nickname")
    declaring(Document, root=User, body={"called": F("name")})
    generations.deploy()
    testing.drain(store)
    run("ALTER TABLE users_user DROP COLUMN nickname")
    generations.deploy()
    with pytest.raises(CannotSwitch, match="is broken, a column"):
        switching.rollback(store, "Throwaway")


def read_too(column):
    """The live generation reads this column as well, as if its code had declared it."""
    row = models.Generation.objects.get(read_model="Throwaway", state="live")
    row.plan["dependencies"][0]["columns"].append(column)
    row.save()
    generations._plans.clear()
    generations.deploy()


def run(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
