"""Customers at work: each writer changes the users that are its own, by commands, and counts in their names.

A write that fails is noted and the next one begun, as the next request would be.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from django.db import DatabaseError, InterfaceError, connection, transaction
from django.db.models import F
from knox.models import AuthToken

from orders.commands import pay_order, place_order, restock_product
from orders.models import Order, OrderLine, Product
from orders.status import Status
from project import child
from tests.faults.crew import Crew
from users.commands import rename_user
from users.models import User

# Each rename reaches all of a customer's orders: were there ever more of them, each write would cost more than the one
# before, and no projector would keep up with the writers for long.
MOST_ORDERS = 30


@dataclass(frozen=True)
class Outcome:
    """One write: how long it took, and what it raised, if anything. `counter` is what the user's name now says."""

    user_id: int
    counter: int
    seconds: float
    error: str | None


class Writer:
    """Writes for its users, one after the other. A counter is used once: the one of a failed write is left out."""

    def __init__(self, seed: int, user_ids: Sequence[int]) -> None:
        self._random = random.Random(seed)
        self._user_ids = user_ids
        # A later run goes on counting where no earlier one can have been.
        self._counter = int(time.time() * 1000)

    def write(self) -> Outcome:
        user_id = self._random.choice(self._user_ids)
        self._counter += 1
        started = time.monotonic()
        try:
            self._change(user_id)
            error = None
        except (DatabaseError, InterfaceError) as raised:
            connection.close()
            error = f"{type(raised).__name__}: {raised}"
        return Outcome(user_id, self._counter, time.monotonic() - started, error)

    def _change(self, user_id: int) -> None:
        """The user is renamed, and now and then something else happens around them."""
        with transaction.atomic():
            if self._random.random() < 0.3:
                self._random.choice((_order, _pay, _restock, _requantify, _grant, _revoke))(user_id, self._random)
            _rename(user_id, self._counter)


def _rename(user_id: int, counter: int) -> None:
    rename_user(user_id=user_id, name=f"Count {counter}")


def _order(user_id: int, chance: random.Random) -> None:
    if Order.objects.filter(customer_id=user_id).count() >= MOST_ORDERS:
        return
    product = chance.choice(Product.objects.order_by("pk")[:5])
    place_order(customer_id=user_id, lines=[(product.sku, 1 + chance.randrange(3))])


def _pay(user_id: int, chance: random.Random) -> None:
    order = Order.objects.filter(customer_id=user_id, status=Status.PLACED).first()
    if order:
        pay_order(order_id=order.pk)


def _restock(user_id: int, chance: random.Random) -> None:
    restock_product(sku=chance.choice(Product.objects.order_by("pk")[:5]).sku, quantity=1)


def _requantify(user_id: int, chance: random.Random) -> None:
    OrderLine.objects.filter(order__customer_id=user_id, position=1).update(quantity=F("quantity") + 1)


def _grant(user_id: int, chance: random.Random) -> None:
    AuthToken.objects.create(user=User.objects.get(pk=user_id))


def _revoke(user_id: int, chance: random.Random) -> None:
    AuthToken.objects.filter(user_id=user_id).delete()


class Writers(Crew):
    """Threads that write until the block ends; each user belongs to one of them, so that its counter only grows."""

    def __init__(self, user_ids: Sequence[int], seed: int, count: int = 4, pause_seconds: float = 0.01) -> None:
        self.outcomes: list[Outcome] = []
        writers = [Writer(seed * 1000 + place, user_ids[place::count]) for place in range(count)]
        super().__init__([partial(self._write, writer) for writer in writers], pause_seconds)

    def _write(self, writer: Writer) -> None:
        self.outcomes.append(writer.write())

    @property
    def done(self) -> int:
        """How many writes were answered."""
        return sum(outcome.error is None for outcome in list(self.outcomes))

    def go_on(self, writes: int) -> None:
        """So many more writes have been answered when this returns."""
        done = self.done + writes
        assert child.wait_until(lambda: self.done >= done, 60), "the writers are stuck"

    @property
    def answered(self) -> dict[int, int]:
        """The last counter, by user, that a write was answered for."""
        return {outcome.user_id: outcome.counter for outcome in self.outcomes if outcome.error is None}
