"""Others at work beside what a test is about: one order changed after the other, each timed from its commit until a
reader sees it.
"""

import json
import time
from collections.abc import Sequence
from itertools import count, cycle

from orders.models import Order
from orders.readmodels.order_detail import OrderDetail
from readmodels.errors import StoreUnavailable
from readmodels.query import Reader
from readmodels.store import Store
from tests.faults.crew import Crew
from tests.rows import add_order, add_user

POLL_SECONDS = 0.005
LONGEST_SECONDS = 60.0


class SmallWrites(Crew):
    """Writes until the block ends, each once the one before it is visible. The orders' customers have no others."""

    def __init__(self, orders: int = 50) -> None:
        self._order_ids = cycle([add_order(add_user()).pk for _ in range(orders)])
        self._totals = count(1)
        self._lags: list[float] = []
        self._reader = Reader(Store())
        super().__init__([self._write], pause_seconds=0.01)

    @property
    def done(self) -> int:
        return len(self._lags)

    def lags_since(self, done: int = 0) -> Sequence[float]:
        """The seconds from commit to visible of every write after so many."""
        return self._lags[done:]

    def _write(self) -> None:
        order_id, total_cents = next(self._order_ids), next(self._totals)
        Order.objects.filter(pk=order_id).update(total_cents=total_cents)
        committed = time.monotonic()
        while not self._is_visible(order_id, total_cents) and time.monotonic() < committed + LONGEST_SECONDS:
            time.sleep(POLL_SECONDS)
        self._lags.append(time.monotonic() - committed)

    def _is_visible(self, order_id: int, total_cents: int) -> bool:
        try:
            body = self._reader.document(OrderDetail, order_id).body
        except StoreUnavailable:
            return False
        return body is not None and json.loads(body)["total_cents"] == total_cents


def p99(seconds: Sequence[float]) -> float:
    """What 99 of 100 took no longer than."""
    return sorted(seconds)[-(len(seconds) // 100) - 1]
