"""Threads at work for as long as a block lasts."""

import threading
from collections.abc import Callable, Sequence
from typing import Self

from django.db import connection

END_SECONDS = 60


class Crew:
    """Each thread does its work again and again, with a pause, until the block ends."""

    def __init__(self, works: Sequence[Callable[[], object]], pause_seconds: float) -> None:
        self._pause_seconds = pause_seconds
        self._is_over = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(work,), daemon=True) for work in works]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(timeout=END_SECONDS)
        assert not any(thread.is_alive() for thread in self._threads), f"{type(self).__name__} are stuck"

    def _run(self, work: Callable[[], object]) -> None:
        while not self._is_over.wait(self._pause_seconds):
            work()
        connection.close()
