"""What is stored damaged, and a world that goes on meanwhile."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from readmodels import generations, keys, outbox, projector, snapshot
from readmodels.errors import ReadModelError
from readmodels.generations import Generation
from readmodels.store import Store
from tests.rows import add_order, add_product, add_user
from users.models import User


def live(name: str) -> Generation:
    with snapshot.reading() as (cursor, _):
        current = generations.current(cursor)
    return next(each for each in current if each.plan.name == name and each.state == "live")


def key_of(user_id: int) -> str:
    return keys.document("UserProfile", live("UserProfile").number, str(user_id))


def corrupt(store: Store, user_id: int) -> None:
    """Another name in the document, everything else as it was."""
    line, _, text = store._client.get(key_of(user_id)).partition(b"\n")
    store._client.set(key_of(user_id), line + b"\n" + json.dumps({**json.loads(text), "name": "Wrong"}).encode())


def plant(store: Store, user_id: int, like: int) -> None:
    """A document of a user that there never was."""
    store._client.set(key_of(user_id), store._client.get(key_of(like)))


def at(customer_id: int) -> keys.PartitionKeys:
    return keys.partition("CustomerOrders", live("CustomerOrders").number, str(customer_id))


def rows_of(store: Store, customer: int) -> list[bytes]:
    return sorted(store._client.hkeys(at(customer).rows))


@contextmanager
def stalling(store: Store, monkeypatch) -> Iterator[None]:
    """A projector at work that stops for a moment, at random, between any two of its steps."""
    chance = random.Random(1)
    for name in ("write", "acknowledge"):
        step = getattr(projector, name)

        def late(*given, step=step):
            if chance.random() < 0.3:
                time.sleep(chance.random() * 0.05)
            step(*given)

        monkeypatch.setattr(projector, name, late)
    is_over = threading.Event()

    def project() -> None:
        while not is_over.wait(0.002):
            try:
                projector.settle(store)
                projector.settle(store, outbox.Lane.BULK)
            except ReadModelError:
                continue
        connection.close()

    thread = threading.Thread(target=project)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def customers(count: int) -> list[int]:
    """Customers with an order each, to be written to; there is something to buy."""
    add_product(stock=1_000_000)
    ids = [add_user().pk for _ in range(count)]
    for id in ids:
        add_order(User.objects.get(pk=id))
    return ids
