"""A reader that looks at some users all the time and notes every answer that no correct system could have given."""

import json
import threading
import time

from orders.readmodels.customer_orders import CustomerOrders
from readmodels.errors import StoreUnavailable
from readmodels.query import Reader
from readmodels.store import Store
from users.readmodels.user_profile import UserProfile

PAGE_ROWS = 100
PAUSE_SECONDS = 0.002


class Watcher:
    """Reads until the block ends. `wrong` stays empty; StoreUnavailable is an honest answer, and is counted.

    With `may_lose`, PostgreSQL itself loses writes that were shown: counters may go back then, versions may not.
    """

    def __init__(self, user_ids: list[int], store: Store | None = None, *, may_lose: bool = False) -> None:
        self.wrong: list[str] = []
        self.answers = 0
        self.refusals = 0
        self.slowest_seconds = 0.0
        self._user_ids = user_ids
        self._may_lose = may_lose
        self._store = store or Store()
        self._reader = Reader(self._store)
        self._seen: dict[object, tuple[str, int]] = {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watcher":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._is_over.set()
        self._thread.join(timeout=60)

    def _run(self) -> None:
        while not self._is_over.is_set():
            for user_id in self._user_ids:
                started = time.monotonic()
                try:
                    self._look(user_id)
                    self.answers += 1
                except StoreUnavailable:
                    self.refusals += 1
                except Exception as error:
                    self.wrong.append(f"reading user {user_id}: {error!r}")
                self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - started)
                self._is_over.wait(PAUSE_SECONDS)

    def _look(self, user_id: int) -> None:
        answer = self._reader.document(UserProfile, user_id)
        if answer.body is None:
            self.wrong.append(f"user {user_id} was said not to exist")
        else:
            counter = int(json.loads(answer.body)["name"].split()[1])
            self._note(f"user {user_id}", answer.version, counter)
        page = self._reader.page(CustomerOrders, user_id, limit=PAGE_ROWS)
        orders = page.measures[""]["orders"]
        if len(page.rows) != min(orders, PAGE_ROWS):
            self.wrong.append(f"a page of {len(page.rows)} rows counted {orders} orders of user {user_id}")
        self._note(f"orders of user {user_id}", "", orders)

    def _note(self, what: str, version: str, counter: int) -> None:
        seen = self._seen.get(what, ("", 0))
        if version < seen[0] or (counter < seen[1] and not self._may_lose):
            self.wrong.append(f"{what} went back from {seen} to {(version, counter)}")
        self._seen[what] = (version, counter)
