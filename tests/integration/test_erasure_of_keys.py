"""Read models that are keyed, partitioned, ordered or filtered by what says who somebody is: nothing of it is left in
keys, indexes, measures, tombstones and records either.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models import F

from project.child import wait_until
from readmodels import declare, generations, models, outbox, retention, testing
from readmodels import keys as redis_keys
from readmodels.declare import Collection, Count, Document, ReadModel
from readmodels.query import Reader
from readmodels.store import Store
from readmodels.testing.attempt import Attempt
from tests import scan
from users.commands import change_email
from users.erasure import complete, erase_customer
from users.models import Erasure, User

EMAIL, NAME = "zuleika.unmistakable@example.com", "Zuleika Unmistakable"
# What is written of it in an index.
QUOTED = "zuleika.unmistakable%40example.com"
EXPIRED_SECONDS = 10  # a tombstone lives for ATTEMPT_SECONDS and one more


@pytest.fixture
def declaring(store: Store, configured: Callable[..., None]) -> Iterator[Callable[..., Any]]:
    """Declares a read model for the test's time."""
    configured(ATTEMPT_SECONDS=1)

    def declared(kind: type[ReadModel], **attributes: Any) -> Any:
        made = type("Throwaway", (kind,), {"root": User, **attributes})
        generations.deploy()
        testing.drain(store)
        return made

    yield declared
    declare.forget("Throwaway")
    models.Generation.objects.filter(read_model="Throwaway").delete()
    generations.deploy()


@pytest.fixture
def zuleika(store: Store) -> User:
    User.objects.create_user("other@example.com", name="Other", country="Nowhere")
    user = User.objects.create_user(EMAIL, name=NAME, country="Nowhere")
    testing.drain(store)
    return user


def held(store: Store) -> list[str]:
    return [*scan.in_redis(store._client, EMAIL, NAME, QUOTED), *scan.in_postgresql(EMAIL, NAME)]


def erase(user: User, **options: Any) -> Erasure:
    return complete(erase_customer(user_id=user.pk, **options))


def is_gone(store: Store) -> bool:
    """Whether the sweeps have found nothing any more, once what was to expire has."""
    store.expire_rows(range(redis_keys.BUCKETS), retention.TOMBSTONES)
    return not held(store)


def test_document_under_an_address_is_gone_once_no_attempt_can_bring_it_back(store, declaring, zuleika):
    read_model = declaring(Document, key=F("email"), body={"name": F("name")})
    assert Reader(store).document(read_model, EMAIL).body
    receipt = erase(zuleika)
    assert Reader(store).document(read_model, EMAIL).body is None
    assert not receipt.is_verified
    assert [name for name in receipt.left if name.startswith("Throwaway")]
    assert wait_until(lambda: is_gone(store), EXPIRED_SECONDS)
    assert erase(zuleika, also=[EMAIL]).is_verified
    testing.drain(store)
    assert held(store) == []
    testing.assert_law(store)


def test_document_under_an_address_is_not_brought_back_by_a_late_attempt(store, declaring, zuleika):
    declaring(Document, key=F("email"), body={"name": F("name")})
    User.objects.filter(pk=zuleika.pk).update(name=f"{NAME} II")
    attempt = Attempt(store)
    attempt.read()
    erase(zuleika)
    attempt.write()
    attempt.acknowledge()
    assert wait_until(lambda: is_gone(store), EXPIRED_SECONDS)
    testing.assert_law(store) if not outbox.backlog_rows() else testing.drain(store)
    assert held(store) == []


def test_changes_that_are_kept_say_no_more_where_it_was(store, declaring, zuleika):
    """Both what was acknowledged before and what is pending name the address, as the way to the document."""
    declaring(Document, key=F("email"), body={"name": F("name")})
    change_email(user_id=zuleika.pk, email="other.unmistakable@example.com")
    testing.drain(store)
    change_email(user_id=zuleika.pk, email=EMAIL)
    assert [row for row in scan.in_postgresql(EMAIL) if "readmodels_acknowledged" in row]
    erase(zuleika, also=["other.unmistakable@example.com"])
    assert scan.in_postgresql(EMAIL, "other.unmistakable") == []
    assert wait_until(lambda: is_gone(store), EXPIRED_SECONDS)
    testing.drain(store)
    assert [*held(store), *scan.in_redis(store._client, "other.unmistakable")] == []
    testing.assert_law(store)


def test_index_and_measures_forget(store, declaring, zuleika):
    declaring(
        Collection,
        partition_by=F("country"),
        order_by=F("name"),
        filter_by=("email",),
        body={"id": F("id")},
        measures={"users": Count()},
    )
    kinds = {key.rpartition(":")[2] for key in scan.in_redis(store._client, QUOTED, NAME) if "Throwaway" in key}
    assert kinds == {"rows", "index", "measures"}
    assert erase(zuleika).is_verified
    assert held(store) == []
    testing.drain(store)
    testing.assert_law(store)


def test_partition_of_an_address_is_forgotten_by_who_follows_it(store, declaring, zuleika):
    read_model = declaring(Collection, partition_by=F("email"), order_by=F("name"), body={"name": F("name")})
    store.follow([("Throwaway", Reader(store)._generation(read_model), EMAIL, 0)])
    erase(zuleika)
    assert wait_until(lambda: is_gone(store), EXPIRED_SECONDS)


def test_partition_of_an_address_is_gone_with_its_tombstones(store, declaring, zuleika):
    declaring(Collection, partition_by=F("email"), order_by=F("name"), body={"id": F("id")}, measures={"n": Count()})
    erase(zuleika)
    assert wait_until(lambda: is_gone(store), EXPIRED_SECONDS)
    testing.drain(store)
    assert held(store) == []
    testing.assert_law(store)


def test_address_that_is_registered_again_is_somebody_elses(store, declaring, zuleika):
    """Between the erasure and the look for what is left."""
    read_model = declaring(Document, key=F("email"), body={"name": F("name")})
    erased = erase_customer(user_id=zuleika.pk)
    User.objects.create_user(EMAIL, name="Another")
    testing.drain(store)
    receipt = complete(erased)
    assert receipt.left["users_user"] == 1
    assert json.loads(Reader(store).document(read_model, EMAIL).body) == {"name": "Another"}
    testing.assert_law(store)
