"""`manage.py relay`: projects without Celery and without a broker, until it is told to stop."""

import signal
import sys
from argparse import ArgumentParser, ArgumentTypeError
from contextlib import suppress
from typing import Any

from django.core.management.base import BaseCommand

from readmodels import eviction, patience
from readmodels.errors import StoreUnavailable
from readmodels.relay import Relay

# Half of it is what a change waits on average; each look at an empty outbox is one quick statement.
POLL_MS = 20
MAX_POLL_MS = 1000
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Command(BaseCommand):
    help = (
        "Projects changes without Celery and without a broker: one process does what workers and beat do, until "
        "SIGTERM or Ctrl-C. Use it where a broker is not worth its keep; use workers where one process can't keep up, "
        "which lag_seconds of `readmodels status` tells. Relays and workers may run side by side: leases keep them "
        "apart, and what is done twice is harmless; so a second relay stands in for one that died. While PostgreSQL "
        "or Redis is away, it logs that and tries again each second."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.epilog = (
            "Exit codes: 0 stopped by a signal, after the batch in hand; 2 the arguments are wrong, or Redis may drop "
            "documents (its maxmemory-policy must be noeviction)."
        )
        parser.add_argument(
            "--poll-ms",
            type=poll_ms,
            default=POLL_MS,
            metavar="MS",
            help=f"how often an empty outbox is looked at, 1 to {MAX_POLL_MS} ms (%(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        # Held back in this thread and those that it starts, and for good: a second one must not break what ends well.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            with suppress(StoreUnavailable):  # it may come later, and readiness tells then
                eviction.demand()
        except eviction.MayEvict as error:
            self.stderr.write(str(error))
            sys.exit(2)
        patience.limit()
        relay = Relay(poll_seconds=options["poll_ms"] / 1000)
        relay.start()
        signal.sigwait(STOP_SIGNALS)
        relay.end()


def poll_ms(text: str) -> int:
    """The milliseconds that a word of the command line says."""
    if not (text.isdecimal() and 1 <= int(text) <= MAX_POLL_MS):
        raise ArgumentTypeError(f"{text!r}; accepted: a whole number from 1 to {MAX_POLL_MS}")
    return int(text)
