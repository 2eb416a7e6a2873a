"""`manage.py erase_customer ID...`: a person is erased, whatever there is of them, and it is said what was found."""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, OutputWrapper
from django.utils import timezone
from rich.console import Console
from rich.table import Table

from readmodels.conf import conf
from readmodels.erasure import may_expire
from users.erasure import complete, erase_customer
from users.errors import UserNotFound
from users.models import Erasure
from users.serializers import ReceiptState

LINE_EVERY_SECONDS = 10.0
# How often it is looked again for what expires once the longest attempt is over.
LOOK_SECONDS = 2.0
UNKNOWN = "who it was is not known any more: name an e-mail address with --look-for"


class Command(BaseCommand):
    help = (
        "Erase people by their users' ids: tables, read models in all generations, and what the engine keeps. Orders"
        " stay, and say no more whose they were. Erased again, nothing changes. Exit code 0: nothing is left; 1:"
        " something is left, or was not looked at; 2: wrong arguments, or a user does not exist."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="users' ids")
        parser.add_argument("--again", action="store_true", help="everybody who was ever erased, too (after a restore)")
        parser.add_argument("--list", action="store_true", help="only print the ids of all who were ever erased")
        parser.add_argument(
            "--look-for",
            action="store_true",
            help="read lines from standard input that were one person's alone (a former e-mail address); needs one ID",
        )
        parser.add_argument("--json", action="store_true", help="print receipts as JSON, one a line")

    def handle(self, *, ids: list[int], again: bool, list: bool, look_for: bool, **options: Any) -> None:
        known = sorted({*Erasure.objects.values_list("user_id", flat=True)})
        if list:
            self.stdout.write("".join(f"{user_id}\n" for user_id in known), ending="")
            return
        wanted = [*dict.fromkeys([*ids, *(known if again else [])])]
        if not wanted and not again:
            raise CommandError("name users' ids, or --again, or --list", returncode=2)
        if look_for and len(ids) != 1:
            raise CommandError("--look-for needs exactly one ID", returncode=2)
        also = [line.strip() for line in sys.stdin if line.strip()] if look_for else []
        receipts = [self._erased(user_id, also) for user_id in wanted]
        for receipt in filter(None, receipts):
            self.stdout.write(json.dumps(ReceiptState(receipt).data) if options["json"] else _shown(receipt))
        if None in receipts:
            raise SystemExit(2)
        if not all(receipt and receipt.is_verified for receipt in receipts):
            raise SystemExit(1)

    def _erased(self, user_id: int, also: Iterable[str]) -> Erasure | None:
        progress = Steps(user_id, self.stderr)
        try:
            erased = erase_customer(user_id=user_id, also=tuple(also))
        except UserNotFound as error:
            self.stderr.write(str(error))
            return None
        receipt = complete(erased, is_again=True, on_step=progress)
        deadline = time.monotonic() + 3 * conf().attempt_seconds
        while may_expire(receipt.left) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            receipt = complete(erased, is_again=True, on_step=progress)
        return receipt


class Steps:
    """Says now and then, on standard error, how far it is."""

    def __init__(self, user_id: int, out: OutputWrapper) -> None:
        self._user_id = user_id
        self._out = out
        self._done: dict[str, int] = {}
        self._said_at = time.monotonic()

    def __call__(self, what: str, count: int) -> None:
        self._done[what] = self._done.get(what, 0) + count
        if time.monotonic() - self._said_at >= LINE_EVERY_SECONDS:
            self._said_at = time.monotonic()
            done = ", ".join(f"{count:,} {what}" for what, count in self._done.items())
            self._out.write(f"user {self._user_id}: looked at {done}")


def _shown(receipt: Erasure) -> str:
    console = Console()
    table = Table("place", "found", "rewritten", "removed", title=f"User {receipt.user_id}")
    for column in table.columns[1:]:
        column.justify = "right"
    for place in receipt.places:
        table.add_row(place["name"], *(f"{place[name]:,}" for name in ("found", "rewritten", "removed")))
    with console.capture() as shown:
        console.print(table)
    return f"{shown.get()}{_ending(receipt)}"


def _ending(receipt: Erasure) -> str:
    if receipt.completed_at is None:
        return "Not complete: a server failed meanwhile, the log says which; run it again."
    if receipt.is_verified:
        return f"Nothing is left, as of {timezone.localtime(receipt.completed_at):%Y-%m-%d %H:%M:%S %Z}."
    left = [f"{name} ({count})" for name, count in receipt.left.items()]
    told = [f"left: {', '.join(left)}"] if left else []
    told += [f"not looked at: {', '.join(receipt.unlooked)}"] if receipt.unlooked else []
    return f"Not verified; {'; '.join(told) or UNKNOWN}."
