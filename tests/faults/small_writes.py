"""Others at work beside what a test is about: one order changed after the other, each timed from its commit until a
reader sees it.
"""

import json
import threading
import time
from collections.abc import Sequence
from itertools import count, cycle

from django.db import connection

from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from readmodels.errors import StoreUnavailable
from readmodels.query import Reader
from readmodels.store import Store
from tests.rows import add_order, add_user

POLL_SECONDS = 0.005
LONGEST_SECONDS = 60.0


class SmallWrites:
    """Writes until the block ends, each once the one before it is visible. The orders' customers have no others."""

    def __init__(self, orders: int = 50, pause_seconds: float = 0.01) -> None:
        self._order_ids = [add_order(add_user()).pk for _ in range(orders)]
        self._pause_seconds = pause_seconds
        self._lags: list[float] = []
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def done(self) -> int:
        return len(self._lags)

    def lags_since(self, done: int = 0) -> Sequence[float]:
        """The seconds from commit to visible of every write after so many."""
        return self._lags[done:]

    def __enter__(self) -> "SmallWrites":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._is_over.set()
        self._thread.join(timeout=LONGEST_SECONDS)

    def _run(self) -> None:
        reader = Reader(Store())
        for order_id, total_cents in zip(cycle(self._order_ids), count(1)):
            if self._is_over.wait(self._pause_seconds):
                break
            Order.objects.filter(pk=order_id).update(total_cents=total_cents)
            committed = time.monotonic()
            while not self._is_visible(reader, order_id, total_cents) and not self._is_over.is_set():
                time.sleep(POLL_SECONDS)
            self._lags.append(time.monotonic() - committed)
        connection.close()

    def _is_visible(self, reader: Reader, order_id: int, total_cents: int) -> bool:
        try:
            body = reader.document(OrderDetail, order_id).body
        except StoreUnavailable:
            return False
        return body is not None and json.loads(body)["total_cents"] == total_cents


def p99(seconds: Sequence[float]) -> float:
    """What 99 of 100 took no longer than."""
    return sorted(seconds)[-(len(seconds) // 100) - 1]
