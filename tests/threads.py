"""Work done at once, each piece in a thread with a database connection of its own."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """Run the works together; returns what each returned or raised, in their order. A work stuck for a minute fails."""
    barrier = threading.Barrier(len(works))
    outcomes: dict[int, Any] = {}

    def run(place: int) -> None:
        try:
            barrier.wait(timeout=10)
            outcomes[place] = works[place]()
        except Exception as error:
            outcomes[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert len(outcomes) == len(works), "one of the works still waits"
    return [outcomes[place] for place in range(len(works))]
