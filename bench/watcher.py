"""Notes when a document of an order shows a version of it: Redis itself tells of each SET, so nothing is polled.

Upon each the document is read, and the clock after that. So what is noted is later than what a reader could have seen,
by the way of two messages: 0.1 to 0.2 ms.
"""

import json
import threading
import time
from collections.abc import Collection
from typing import Any

import redis

from project import child


class Watcher:
    """Watches all keys of a pattern, from `with` on."""

    def __init__(self, url: str, pattern: str) -> None:
        self._client = redis.Redis.from_url(url)
        self._told: Any = self._client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        self._pattern = pattern
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        # By (order id, version), in ns of the monotonic clock.
        self.seen: dict[tuple[int, int], int] = {}

    def __enter__(self) -> "Watcher":
        self._client.config_set("notify-keyspace-events", "K$")
        self._told.psubscribe(f"__keyspace@0__:{self._pattern}")
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._told.close()
        self._client.config_set("notify-keyspace-events", "")
        self._client.close()

    def wait_for(self, expected: Collection[tuple[int, int]], limit_seconds: float) -> None:
        """All of these have been seen; ends the program where they are not in time."""
        if not child.wait_until(lambda: self.seen.keys() >= set(expected), limit_seconds):
            missing = set(expected) - self.seen.keys()
            raise SystemExit(f"{len(missing)} of {len(expected)} writes were not visible after {limit_seconds} s")

    def _watch(self) -> None:
        while not self._is_over.is_set():
            if message := self._told.get_message(timeout=0.1):
                self._look(message)

    def _look(self, message: dict[str, Any]) -> None:
        stored = self._client.get(message["channel"].partition(b":")[2])
        now = time.monotonic_ns()
        # Before the document ours has a line that says of which snapshot it is.
        if isinstance(stored, bytes) and (start := stored.find(b"{")) >= 0:
            document = json.loads(stored[start:])
            self.seen.setdefault((document["id"], document["version"]), now)
