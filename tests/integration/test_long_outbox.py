"""What waits costs nothing: a batch reads the changes that it takes, however long the outbox is.

PostgreSQL keeps plans (readmodels/together.py), and those that it made while little waited are to read the whole table.
"""

from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from orders.models import Order
from readmodels import outbox, projector, testing
from readmodels.outbox import Lane
from readmodels.store import Store
from tests.reads import rows_read
from tests.rows import add_user
from users.models import User

ROWS = 4_000
ALL_IN_ONE_SHARD = """
    INSERT INTO readmodels_change (source, key, xid, shard, not_before)
    SELECT 'users_user', n::text, 1, 3, now() + interval '1 h' FROM generate_series(1, 50) n"""
GATHERED = "SELECT count(*) FROM pg_stats WHERE tablename = 'readmodels_change'"
FILE = "SELECT pg_relation_filenode('readmodels_change')"


@pytest.fixture
def planned(store, configured):
    """Plans for a short outbox, which was long before, are kept, and nothing tells PostgreSQL that it has grown.

    What PostgreSQL looked at before was all of one shard, and not due.
    """
    User.objects.bulk_create(User(name="A", email=f"before{number}@example.com") for number in range(ROWS))
    testing.drain(store)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE readmodels_change SET (autovacuum_enabled = off)")
        cursor.execute(ALL_IN_ONE_SHARD)
        cursor.execute("ANALYZE readmodels_change")
        cursor.execute("TRUNCATE readmodels_change")  # a vacuum may leave pages, as many as tests before have filled
        cursor.execute("VACUUM ANALYZE readmodels_change")
    configured(batch_rows=20, fan_out_documents=5)
    user = add_user()
    for number in range(12):
        User.objects.filter(pk=user.pk).update(name=f"{number}")
        testing.drain(store)
    yield store
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE readmodels_change RESET (autovacuum_enabled)")


@pytest.mark.parametrize("threshold", [5, None])  # None: behind a pooler of transactions, where no plan is kept
def test_backlog_is_worked_off_without_reading_it_again_for_each_batch(planned, threshold, monkeypatch):
    monkeypatch.setattr(connection.connection, "prepare_threshold", threshold)
    User.objects.bulk_create(User(name="A", email=f"{number}@example.com") for number in range(ROWS))
    assert outbox.backlog_rows() == ROWS
    with rows_read("readmodels_change") as rows:
        while projector.settle(planned):
            pass
    # Once by whoever looks for shards, once as they are taken, twice as they go; some 200 times where each of the 200
    # batches reads twice all that is left.
    assert rows.count < 10 * ROWS


def test_changes_do_not_wait_for_what_the_bulk_lane_holds_to_be_read(planned):
    user, other = add_user(), add_user()
    Order.objects.bulk_create(Order(customer=user, total_cents=1) for _ in range(ROWS))
    testing.drain(planned)
    User.objects.filter(pk=user.pk).update(name="B")
    projector.settle(planned)
    projector.project(planned, Lane.BULK.value)
    assert outbox.backlog_rows() == ROWS
    change(other, "C", planned)  # with plans of before; how much waits is known after that
    with rows_read("readmodels_change") as rows:
        change(other, "D", planned)
    assert rows.count < 100


def test_upgrade_forgets_what_was_gathered_and_does_not_rewrite_the_outbox(store):
    call_command("migrate", "readmodels", "0011", verbosity=0)
    try:
        User.objects.bulk_create(User(name="A", email=f"{number}@example.com") for number in range(10))
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE readmodels_change")
        gathered, file = _one(GATHERED), _one(FILE)
        assert gathered > 0
    finally:
        call_command("migrate", "readmodels", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE readmodels_change")
    assert _one(GATHERED) == 0
    assert _one(FILE) == file
    assert testing.drain(store) == 10


def _one(sql: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def change(user: User, name: str, store: Store) -> None:
    User.objects.filter(pk=user.pk).update(name=name)
    assert projector.settle(store) == 1
