"""A process that writes: orders move on at their due times, whether or not those before have been answered.

Started as `python -m bench.writer` with a JSON object on its standard input, it answers on its standard output; see
`Asked` and `Written`. In a process of its own, as the API is, it does not hold up who watches.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import NamedTuple

from django.db import connection, transaction

THREADS = 4


@dataclass(frozen=True)
class Asked:
    """What to write: runs of (writes per second, orders), one after the other; `task` is that of the peer, if any."""

    command: str
    runs: Sequence[tuple[float, Sequence[int]]]
    task: str = ""


class Written(NamedTuple):
    """One write: times are those of the monotonic clock, which all processes of a machine share."""

    order_id: int
    version: int
    due_ns: int
    committed_ns: int


def main() -> None:
    """All that is asked is written; answers with a list of `Written` for each run."""
    import django

    asked = Asked(**json.load(sys.stdin))
    django.setup()
    if asked.task:
        _leave_it_to_the_peer()
    with ThreadPoolExecutor(THREADS) as pool:
        answer = [_run(pool, asked, rate, order_ids) for rate, order_ids in asked.runs]
    json.dump(answer, sys.stdout)


def question(asked: Asked) -> str:
    """What the process is to be given."""
    return json.dumps(asdict(asked))


def answer(text: str) -> list[list[Written]]:
    """What the process has said."""
    return [[Written(*each) for each in run] for run in json.loads(text)]


def _leave_it_to_the_peer() -> None:
    from django.db.backends.signals import connection_created

    connection_created.disconnect(dispatch_uid="readmodels.wake")


def _run(pool: ThreadPoolExecutor, asked: Asked, rate: float, order_ids: Sequence[int]) -> list[Written]:
    begun = time.monotonic_ns() + 200_000_000
    due = ((order_id, begun + round(number / rate * 1e9)) for number, order_id in enumerate(order_ids))
    # A generator is not for several threads at once.
    ready = iter(list(due))
    return [each for written in pool.map(lambda _: _work(asked, ready), range(THREADS)) for each in written]


def _work(asked: Asked, ready: Iterator[tuple[int, int]]) -> list[Written]:
    connection.ensure_connection()
    written = []
    for order_id, due_ns in ready:
        time.sleep(max(0, due_ns - time.monotonic_ns()) / 1e9)
        written.append(_write(asked, order_id, due_ns))
    return written


def _write(asked: Asked, order_id: int, due_ns: int) -> Written:
    """By the project's command; the clock is read as soon as the commit has returned, before anybody is told."""
    committed: list[int] = []
    with transaction.atomic():
        transaction.on_commit(lambda: committed.append(time.monotonic_ns()))
        order = getattr(import_module("orders.commands"), asked.command)(order_id=order_id)
        if asked.task:
            module, _, name = asked.task.rpartition(".")
            getattr(import_module(module), name).delay_on_commit(order_id)
    return Written(order_id, order.version, due_ns, committed[0])


if __name__ == "__main__":
    main()
