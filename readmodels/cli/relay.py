"""`readmodels relay`: projects without Celery and without a broker, until it is told to stop."""

import signal
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from readmodels import eviction, patience, relay
from readmodels.cli.base import Action, Exit, Output
from readmodels.errors import StoreUnavailable

# Half of it is what a change waits on average; each look at an empty outbox is one quick statement.
POLL_MS = 20
MAX_POLL_MS = 1000
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Relay(Action):
    """Project changes without Celery and without a broker, until SIGTERM or Ctrl-C.

    One process does what workers and beat do. Use it where a broker is not worth its keep; use workers where one
    process can't keep up, which lag_seconds of `readmodels status` tells. Relays and workers may run side by side:
    leases keep them apart, and what is done twice is harmless; so a second relay stands in for one that died. While
    PostgreSQL or Redis is away, it logs that and tries again each second. `manage.py relay` is the same.
    """

    name = "relay"
    exits = {
        Exit.FINE: "stopped by a signal, after the batch in hand",
        Exit.REFUSED: "wrong arguments, or Redis may drop documents (its maxmemory-policy must be noeviction)",
    }
    examples = ("relay", "relay --poll-ms=100")
    has_json = False

    def arguments(self, parser: ArgumentParser) -> None:
        """How often an empty outbox is looked at."""
        parser.add_argument(
            "--poll-ms",
            type=poll_ms,
            default=POLL_MS,
            metavar="MS",
            help=f"how often an empty outbox is looked at, 1 to {MAX_POLL_MS} ms (%(default)s)",
        )

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Returns after a signal; raises MayEvict before anything is done."""
        # Held back in this thread and those that it starts, and for good: a second one must not break what ends well.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        with suppress(StoreUnavailable):  # it may come later, and readiness tells then
            eviction.demand()
        patience.limit()
        working = relay.Relay(poll_seconds=options["poll_ms"] / 1000)
        working.start()
        signal.sigwait(STOP_SIGNALS)
        working.end()
        return Exit.FINE


def poll_ms(text: str) -> int:
    """The milliseconds that a word of the command line says."""
    if not (text.isdecimal() and 1 <= int(text) <= MAX_POLL_MS):
        raise ArgumentTypeError(f"{text!r}; accepted: a whole number from 1 to {MAX_POLL_MS}")
    return int(text)
