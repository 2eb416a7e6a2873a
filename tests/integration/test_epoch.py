"""The epoch goes up when PostgreSQL may have gone back; what was read before it is refused."""

import json
from dataclasses import replace

import pytest
from django.db import connection

from readmodels import consistency, models, outbox, projector, testing
from readmodels.errors import NotYet, ReadModelError
from readmodels.query import Reader
from tests.reading import body
from tests.rows import add_user
from users.commands import rename_user
from users.models import User
from users.readmodels.user_profile import UserProfile


def test_crash_of_postgresql_raises_the_epoch_by_one(store):
    user = add_user(name="Ada")
    testing.drain(store)
    before = Reader(store).document(UserProfile, user.pk).version
    crash()
    epoch = models.Clock.objects.get().epoch
    User.objects.update(name="Countess")
    testing.drain(store)
    assert models.Clock.objects.get().epoch == epoch + 1 == store.epoch()
    found = Reader(store).document(UserProfile, user.pk)
    assert json.loads(found.body)["name"] == "Countess"
    assert found.version > before
    testing.assert_law(store)


def test_epoch_stays_where_nothing_happened(store):
    epoch = models.Clock.objects.get().epoch
    for _ in range(3):
        add_user()
        testing.drain(store)
    assert models.Clock.objects.get().epoch == epoch


def test_projector_of_the_last_epoch_is_refused(store):
    user = add_user(name="Ada")
    testing.drain(store)
    User.objects.update(name="Late")
    late = projector.read(store, range(outbox.SHARDS))
    crash()
    User.objects.update(name="Countess")
    testing.drain(store)
    with pytest.raises(ReadModelError):
        projector.write(store, late)
    with pytest.raises(ReadModelError):
        projector.acknowledge(late)
    assert body(store, UserProfile, user.pk)["name"] == "Countess"


def test_token_of_a_write_after_the_crash_is_of_the_epoch_to_come(store):
    """Its transaction's id may be one that a document of before the crash shows as ended."""
    user = add_user(name="Ada")
    testing.drain(store)
    crash()
    with consistency.recorded() as written:
        rename_user(user_id=user.pk, name="Countess")
    used_before = replace(written.token, xid=1)  # as if ids had been set back
    with pytest.raises(NotYet):
        Reader(store).document(UserProfile, user.pk, token=used_before, wait_seconds=0)
    testing.drain(store)
    found = Reader(store).document(UserProfile, user.pk, token=written.token, wait_seconds=0)
    assert json.loads(found.body)["name"] == "Countess"


def test_store_of_a_higher_epoch_is_caught_up_with(store):
    """As after PostgreSQL was set back to an older copy that looks like the same server."""
    user = add_user(name="Ada")
    testing.drain(store)
    epoch = models.Clock.objects.get().epoch
    crash()
    User.objects.update(name="Bea")
    testing.drain(store)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE readmodels_clock SET epoch = %s", [epoch])
        cursor.execute("UPDATE readmodels_witness SET epoch = %s", [epoch])
    User.objects.update(name="Countess")
    testing.drain(store)
    assert models.Clock.objects.get().epoch == epoch + 2
    assert body(store, UserProfile, user.pk)["name"] == "Countess"


def test_restore_after_redis_was_emptied_gets_going_again(store):
    user = add_user(name="Ada")
    testing.drain(store)
    for _ in range(3):
        crash()
        testing.drain(store)
    store._client.flushall()
    testing.drain(store)
    restore(epoch=1)
    User.objects.update(name="Countess")
    testing.drain(store)
    assert body(store, UserProfile, user.pk)["name"] == "Countess"
    testing.assert_law(store)


def test_another_timeline_has_every_document_built_anew(store):
    user = add_user(name="Ada")
    testing.drain(store)
    User.objects.update(name="Before")
    models.Change.objects.all().delete()  # no change tells of what the restored copy never had
    restore(epoch=models.Clock.objects.get().epoch)
    testing.drain(store)
    testing.drain(store)
    assert body(store, UserProfile, user.pk)["name"] == "Before"
    testing.assert_law(store)


def crash():
    """What a crash recovery does to an UNLOGGED table."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM readmodels_witness")


def restore(epoch):
    """An older copy of the database, on another server."""
    crash()
    models.Clock.objects.update(epoch=epoch, server="another/00000001/0")
