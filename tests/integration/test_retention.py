"""What is kept for a while goes again: acknowledged changes, tombstones. Who holds everything up is told of."""

import json
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection as database
from django.db import transaction

from orders.models import Order
from project import child
from readmodels import acknowledged, generations, keys, retention, testing
from tests.contracts.attempts import writing
from tests.rows import add_order, add_user

PATIENCE_SECONDS = 10


def kept_rows() -> int:
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM readmodels_acknowledged")
        return int(cursor.fetchone()[0])


def expire_all(store) -> None:
    for tick in range(retention.ROUND):
        retention.expire(store, tick)


def test_acknowledged_changes_are_kept(store):
    add_user()
    testing.drain(store)
    expire_all(store)
    assert kept_rows() == 1


@pytest.mark.parametrize(("hours_ago", "is_dropped"), [(0, False), (24, False), (25, True), (30, True)])
def test_changes_acknowledged_long_ago_are_dropped(store, hours_ago: int, is_dropped: bool):
    add_user()
    testing.drain(store)
    with database.cursor() as cursor:
        cursor.execute(
            f"UPDATE readmodels_acknowledged SET slot = mod({acknowledged.HOUR} - %s + 320, 32)", [hours_ago]
        )
    expire_all(store)
    assert kept_rows() == (0 if is_dropped else 1)


def test_table_that_somebody_reads_is_dropped_in_a_later_round(store):
    add_user()
    testing.drain(store)
    with database.cursor() as cursor:
        cursor.execute(f"UPDATE readmodels_acknowledged SET slot = mod({acknowledged.HOUR} + 2, 32)")
    with writing() as reader:
        reader.execute("SELECT FROM readmodels_acknowledged")
        expire_all(store)
        assert kept_rows() == 1
    expire_all(store)
    assert kept_rows() == 0


def test_tombstones_of_a_quiet_partition_expire(store, configured):
    configured(ATTEMPT_SECONDS=1, TOMBSTONE_SECONDS=2)
    customer = add_user()
    for _ in range(3):
        add_order(customer)
    testing.drain(store)
    Order.objects.all().delete()
    testing.drain(store)
    at = orders_of(customer)
    assert store._client.hlen(at.rows) == 3

    def is_gone() -> bool:
        expire_all(store)
        return not store._client.exists(at.rows, at.tombstones, keys.expiring(at.bucket))

    assert child.wait_until(is_gone, PATIENCE_SECONDS)


def test_tombstones_stay_for_as_long_as_an_attempt_may_be_late(store):
    customer = add_user()
    add_order(customer)
    testing.drain(store)
    Order.objects.all().delete()
    testing.drain(store)
    expire_all(store)
    assert store._client.hlen(orders_of(customer).rows) == 1


def orders_of(customer) -> keys.PartitionKeys:
    return keys.partition("CustomerOrders", generations.pointers()["CustomerOrders"], str(customer.pk))


# The alarm


def test_long_transaction_is_told_of(store, configured):
    configured(LONG_TRANSACTION_SECONDS=1)
    with writing() as writer:
        writer.execute("SELECT pg_current_xact_id()")
        assert child.wait_until(lambda: any("transaction" in alarm for alarm in alarms()), PATIENCE_SECONDS)
        pid = writer.info.backend_pid
        assert any(f"pid {pid}" in alarm for alarm in alarms())
    assert not alarms()


def test_prepared_transaction_is_told_of(store, configured):
    configured(LONG_TRANSACTION_SECONDS=1)
    with transaction.atomic(), database.cursor() as cursor:
        add_user()
        cursor.execute("PREPARE TRANSACTION 'forgotten'")
    try:
        assert child.wait_until(lambda: any("'forgotten'" in alarm for alarm in alarms()), PATIENCE_SECONDS)
    finally:
        with database.cursor() as cursor:
            cursor.execute("ROLLBACK PREPARED 'forgotten'")


def alarms() -> list[str]:
    out = StringIO()
    call_command("readmodels", "status", "--json", stdout=out)
    return json.loads(out.getvalue())["alarms"]
