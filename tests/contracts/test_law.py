"""The law of every read model: after any sequence of writes, however they came about and however often projected in
between, what is projected equals what a rebuild gives.
"""

import json
from datetime import timedelta

from django.db import IntegrityError, connection, transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from knox.models import AuthToken

from orders import commands as order_commands
from orders.batch import working
from orders.batch.models import ImportJob
from orders.models import Order, OrderLine, Product
from orders.status import Status
from readmodels import outbox, projector, testing
from readmodels.store import Store
from tests.rows import add_line, add_order, add_product, add_user
from users import commands as user_commands
from users.errors import Refused
from users.models import User


class World:
    """The write model under test; every write takes two numbers, by which it chooses what to write."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # commands

    def rename_user(self, a: int, b: int) -> None:
        user_commands.rename_user(user_id=pick(User, a).pk, name=f"Name {b}")

    def deactivate_user(self, a: int, b: int) -> None:
        user_commands.deactivate_user(user_id=pick(User, a).pk)

    def reprice_product(self, a: int, b: int) -> None:
        order_commands.reprice_product(sku=pick(Product, a).sku, price_cents=b)

    def place_order(self, a: int, b: int) -> None:
        skus = [(pick(Product, b).sku, 1 + b % 3), (pick(Product, b + 1).sku, 1)]
        order_commands.place_order(customer_id=pick(User, a).pk if a % 4 else None, lines=skus)

    def pay_order(self, a: int, b: int) -> None:
        order_commands.pay_order(order_id=pick(Order, a).pk)

    def cancel_order(self, a: int, b: int) -> None:
        order_commands.cancel_order(order_id=pick(Order, a).pk)

    def begin_import(self, a: int, b: int) -> None:
        order = {"is_guest": True, "lines": [{"sku": pick(Product, a).sku, "quantity": b + 1}]}
        data = b"".join(json.dumps(each).encode() + b"\n" for each in (order, {}, order))
        job = ImportJob.objects.create(format="ndjson", bytes=len(data), lines=3)
        job.parts.create(ends_at=len(data), data=data)

    def go_on_with_import(self, a: int, b: int) -> None:
        working.step()

    def forget_imports(self, a: int, b: int) -> None:
        ImportJob.objects.filter(pk__gt=a).delete()

    # the ORM, one row and in bulk

    def save_order(self, a: int, b: int) -> None:
        order = pick(Order, a)
        order.status, order.total_cents = list(Status)[b % 6], b
        order.save()

    def move_order(self, a: int, b: int) -> None:
        Order.objects.filter(pk=pick(Order, a).pk).update(customer=pick(User, b) if b % 3 else None)

    def shift_days(self, a: int, b: int) -> None:
        for order in Order.objects.filter(pk__gt=a):
            order.placed_at += timedelta(days=b % 3 - 1, hours=b)
            order.save(update_fields=["placed_at"])

    def update_many(self, a: int, b: int) -> None:
        Order.objects.filter(pk__gt=a).update(status=list(Status)[b % 6], currency=("GBP", "EUR")[a % 2])

    def add_lines(self, a: int, b: int) -> None:
        start = OrderLine.objects.count()
        OrderLine.objects.bulk_create(
            OrderLine(order=pick(Order, a), position=start + n, product=pick(Product, b), quantity=n, price_cents=b)
            for n in range(1, 4)
        )

    def update_lines(self, a: int, b: int) -> None:
        lines = list(OrderLine.objects.all()[: a + 1])
        for line in lines:
            line.quantity = b + 1
        OrderLine.objects.bulk_update(lines, ["quantity"])

    def delete_order(self, a: int, b: int) -> None:
        pick(Order, a).delete()

    def delete_lines(self, a: int, b: int) -> None:
        OrderLine.objects.filter(product=pick(Product, a)).delete()

    def give_and_take_tokens(self, a: int, b: int) -> None:
        AuthToken.objects.create(user=pick(User, a))
        if b % 2:
            AuthToken.objects.filter(user=pick(User, b)).delete()

    # SQL, as from psql

    def swap_skus(self, a: int, b: int) -> None:
        one, other = pick(Product, a), pick(Product, b)
        if one != other:
            with transaction.atomic():
                for pk, sku in ((one.pk, "between"), (other.pk, one.sku), (one.pk, other.sku)):
                    Product.objects.filter(pk=pk).update(sku=sku)

    def move_line(self, a: int, b: int) -> None:
        run(
            "UPDATE orders_orderline SET order_id = %s, position = 1000 + id WHERE id = %s",
            pick(Order, b).pk,
            pick(OrderLine, a).pk,
        )

    def renumber_order(self, a: int, b: int) -> None:
        """A changed primary key: the lines stay behind at an order that is gone, so they go too."""
        pk = pick(Order, a).pk
        run("DELETE FROM orders_orderline WHERE order_id = %s", pk)
        run("UPDATE orders_order SET id = id + 100000 WHERE id = %s", pk)

    def copy_products(self, a: int, b: int) -> None:
        start = Product.objects.count()
        with (
            connection.cursor() as cursor,
            cursor.copy("COPY orders_product (sku, name, price_cents) FROM STDIN") as copy,
        ):
            for number in range(a % 5):
                copy.write_row((f"copied-{a}-{b}-{start + number}", "Copied", b))

    def roll_back(self, a: int, b: int) -> None:
        with transaction.atomic():
            User.objects.update(name=f"Never {b}")
            transaction.set_rollback(True)

    def truncate_lines(self, a: int, b: int) -> None:
        run("TRUNCATE orders_orderline")

    # what happens between writes

    def project_some_shards(self, a: int, b: int) -> None:
        projector.project(self.store, [a % outbox.SHARDS, b % outbox.SHARDS])

    def project_bulk_lane(self, a: int, b: int) -> None:
        projector.project(self.store, [outbox.SHARDS + a % outbox.SHARDS, outbox.SHARDS + b % outbox.SHARDS])

    def project_twice(self, a: int, b: int) -> None:
        batch = projector.read(self.store, LIVE)
        projector.write(self.store, batch)
        projector.write(self.store, batch)

    def project_late(self, a: int, b: int) -> None:
        self.update_many(0, b)
        late = projector.read(self.store, LIVE)
        self.update_many(0, b + 1)
        testing.drain(self.store)
        projector.write(self.store, late)
        projector.acknowledge(late)

    def lose_redis(self, a: int, b: int) -> None:
        self.store._client.flushall()

    def crash_postgres(self, a: int, b: int) -> None:
        run("DELETE FROM readmodels_witness")


LIVE = outbox.Lane.LIVE.value
WRITES = sorted(name for name in vars(World) if not name.startswith("_"))


def pick(model, number: int):
    rows = model.objects.order_by("pk")
    return rows[number % rows.count()]


def run(sql: str, *params: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


def populate() -> None:
    users = [add_user(), add_user(), add_user()]
    products = [add_product(stock=20) for _ in range(4)]
    for number, user in enumerate([*users, None]):
        order = add_order(user)
        for position in range(number):
            add_line(order, products[position], quantity=position + 1)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(st.tuples(st.sampled_from(WRITES), st.integers(0, 20), st.integers(0, 20)), max_size=25),
    st.booleans(),
    st.sampled_from([1, 3, 500]),
)
@example([(name, 1, 2) for name in WRITES], True, 500)
@example([(name, 3, 1) for name in reversed(WRITES)], False, 1)
def test_projected_equals_rebuilt(
    store: Store, configured, steps: list[tuple[str, int, int]], is_drained_first: bool, most_documents: int
) -> None:
    configured(fan_out_documents=most_documents)
    testing.reset(store)
    populate()
    if is_drained_first:
        testing.drain(store)
    world = World(store)
    for name, a, b in steps:
        try:
            getattr(world, name)(a, b)
        except (Refused, IntegrityError, ZeroDivisionError):  # refused by a command, by the tables, or nothing to pick
            continue
        except testing.TRANSIENT:
            testing.drain(store)
    testing.drain(store)
    testing.assert_law(store)
