"""`manage.py create_demo_data`: fills an empty demo and waits until queries show all of it."""

import time
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from orders.importing.progress import progress
from project.demo_data import Size, create_demo_data
from readmodels.outbox import backlog_rows

POLL_SECONDS = 0.2
WAIT_SECONDS = 300.0


class Command(BaseCommand):
    help = "Create users, products and orders for a demo, unless there are users already; wait until all is projected."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--users", type=int, default=500)
        parser.add_argument("--products", type=int, default=2_000)
        parser.add_argument("--orders", type=int, default=5_000)
        parser.add_argument("--seed", type=int, default=7)
        parser.add_argument("--no-wait", action="store_true", help="don't wait until all is projected")

    def handle(
        self, *, users: int, products: int, orders: int, seed: int, no_wait: bool = False, **options: Any
    ) -> None:
        # The demo accounts have passwords that everybody knows.
        if not settings.DEMO:
            raise CommandError("demo data is made where DEMO=1 only", returncode=2)
        if min(users, orders) < 0 or products < 1:
            raise CommandError("--users and --orders take 0 or more, --products 1 or more", returncode=2)
        size = Size(users, products, orders)
        with progress("demo data", size.total) as advance:
            is_new = create_demo_data(size, seed, timezone.now(), advance)
        if not is_new:
            self.stdout.write("There are users already; no demo data was created.")
        elif not no_wait:
            wait_until_projected()


def wait_until_projected(limit_seconds: float = WAIT_SECONDS) -> None:
    """The backlog is empty; raises CommandError if it is not within the limit."""
    gives_up_at = time.monotonic() + limit_seconds
    left = total = backlog_rows()
    with progress("projecting", total) as advance:
        while left:
            if time.monotonic() > gives_up_at:
                raise CommandError(
                    f"{left} changes are not projected after {limit_seconds:.0f} s; is a worker running?"
                )
            time.sleep(POLL_SECONDS)
            found = backlog_rows()
            # Fan-out adds rows while others go: the bar then stands still for a moment.
            advance(max(left - found, 0))
            left = found
