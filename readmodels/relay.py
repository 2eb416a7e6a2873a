"""The relay: one process that does what workers and beat do, without Celery and without a broker.

Five threads, each with a database connection of its own: one projects live changes as soon as the outbox shows them,
and sweeps each second; what a sweep asks for, bulk lane and repair, two others do; one scrubs, the last does the apps'
chores. So neither a storm nor a rebuild holds up live changes. What fails because a server is away is logged and tried
again.

Relays and workers may run side by side: leases keep them apart, and the version guard makes work done twice harmless.
"""

import threading
import time
from collections.abc import Callable

import structlog
from django.db import Error, connections, reset_queries

from readmodels import chores, outbox, projector, scrub, sweeping
from readmodels.errors import ReadModelError
from readmodels.outbox import Lane
from readmodels.store import Store

log = structlog.get_logger()

SWEEP_SECONDS = 1.0
SCRUB_SECONDS = 1.0
CHORES_SECONDS = 1.0
# From a failure to the next try: a server that is away is asked about as often as by the sweeps of a worker.
PAUSE_SECONDS = 1.0
# What has not ended by then is cut short. A batch takes 50 ms, but a server that stalls holds one for much longer.
END_SECONDS = 10.0


class Ended(Exception):
    """The relay ends, and a repair with it; the next one begins where nothing was marked done."""


class Relay:
    """Projects, sweeps, repairs, scrubs and does chores from `start` to `end`.

    An empty outbox is looked at each `poll_seconds`.
    """

    def __init__(self, poll_seconds: float = 0.02, clock: Callable[[], float] = time.monotonic) -> None:
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._sweep_due = clock()
        self._is_over = threading.Event()
        self._is_bulk_due = threading.Event()
        self._is_repair_due = threading.Event()
        turns = {"live": self._live, "bulk": self._bulk, "repair": self._repair, "scrub": self._scrub}
        turns["chores"] = self._chores
        # Daemons, so that one that hangs on a stalled server can't keep the process from ending.
        self._threads = [
            threading.Thread(target=self._run, args=(turn,), name=f"relay-{name}", daemon=True)
            for name, turn in turns.items()
        ]

    def start(self) -> None:
        """All threads are at work."""
        log.info("relay_started", poll_ms=round(self._poll_seconds * 1000))
        for thread in self._threads:
            thread.start()

    def end(self, within_seconds: float = END_SECONDS) -> list[str]:
        """The batches in hand are done and the threads have ended; returns the names of those that did not in time."""
        self._is_over.set()
        for due in (self._is_bulk_due, self._is_repair_due):
            due.set()  # wakes who waits for it
        deadline = self._clock() + within_seconds
        for thread in self._threads:
            thread.join(max(deadline - self._clock(), 0))
        cut_short = [thread.name for thread in self._threads if thread.is_alive()]
        log.info("relay_ended", cut_short=cut_short)
        return cut_short

    def _run(self, turn: Callable[[], None]) -> None:
        """One turn after the other until the relay ends, whatever they raise."""
        while not self._is_over.is_set():
            try:
                turn()
            except Ended:
                break
            except (Error, ReadModelError) as error:
                self._rest(error)
            except Exception as error:  # a fault of the code: the other threads, and the next turn, may well do better
                self._rest(error, exc_info=True)
            reset_queries()  # with DEBUG on, Django keeps the last 9,000 statements
        connections.close_all()

    def _rest(self, error: Exception, *, exc_info: bool = False) -> None:
        """The failure is on record, the next turn makes a new connection; not at once, or it would be a busy loop."""
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        thread = threading.current_thread().name
        log.warning("turn_failed", thread=thread, reason=reason, pause_seconds=PAUSE_SECONDS, exc_info=exc_info)
        connections.close_all()
        self._is_over.wait(PAUSE_SECONDS)

    # One turn of each thread

    def _live(self) -> None:
        """A sweep, if it is due, or else a drain; a pause where there is nothing, or somebody else is at it."""
        began = self._clock()
        store = Store()
        if began >= self._sweep_due:
            self._sweep_due = began + SWEEP_SECONDS
            sweeping.sweep(store, self._is_repair_due.set, self._is_bulk_due.set, self._may_go_on)
        elif not (outbox.has_work(Lane.LIVE) and projector.settle(store, may_go_on=self._may_go_on)):
            self._is_over.wait(self._poll_seconds)

    def _bulk(self) -> None:
        """What large fan-outs left is projected, once a sweep asks for it."""
        if self._is_asked(self._is_bulk_due):
            projector.settle(Store(), Lane.BULK, may_go_on=self._may_go_on)

    def _repair(self) -> None:
        """What is lost or new is built, once a sweep asks for it."""
        if self._is_asked(self._is_repair_due):
            sweeping.repair(Store(), on_range=self._go_on)

    def _scrub(self) -> None:
        """The next stretch is compared with a fresh build; a pause follows."""
        scrub.step(Store())
        self._is_over.wait(SCRUB_SECONDS)

    def _chores(self) -> None:
        """What apps want done now and then is done, as far as it is due; a pause follows."""
        chores.do_due(Store(), self._may_go_on)
        self._is_over.wait(CHORES_SECONDS)

    def _is_asked(self, due: threading.Event) -> bool:
        """Whether there is something to do; returns when there is, or when the relay ends."""
        due.wait()
        due.clear()
        return not self._is_over.is_set()

    def _may_go_on(self) -> bool:
        return not self._is_over.is_set()

    def _go_on(self, name: str, rows: int) -> None:
        if self._is_over.is_set():
            raise Ended
