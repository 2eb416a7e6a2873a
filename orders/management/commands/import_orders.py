"""`manage.py import_orders FILE`: the Online Retail data set into users, products and orders."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from rich.console import Console
from rich.table import Table

from orders.importing.dates import DateOrder
from orders.importing.errors import ImportRefused
from orders.importing.report import Counts
from orders.importing.run import CHUNK_LINES, import_file


class Command(BaseCommand):
    help = (
        "Import orders from a CSV of the Online Retail data set, plain or gzip. Run again, it finishes what is missing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument(
            "--date-order",
            choices=[order.value for order in DateOrder],
            default=DateOrder.AUTO.value,
            help="how 12/1/10 is read; auto finds out from the other dates, or refuses",
        )
        parser.add_argument(
            "--report", type=Path, help="where rejected lines go (default: FILE's name with .rejected.csv)"
        )
        parser.add_argument("--chunk", type=_above_zero, default=CHUNK_LINES, help="lines per transaction, about")

    def handle(self, *, file: Path, date_order: str, report: Path | None, chunk: int, **options: Any) -> None:
        report = report or Path(f"{file.name}.rejected.csv")
        try:
            counts = import_file(file, report, DateOrder(date_order), chunk)
        except ImportRefused as error:
            raise CommandError(str(error), returncode=2) from error
        except DatabaseError as error:
            reason = str(error).partition("\n")[0]
            raise CommandError(f"the database failed; run again to finish: {reason}", returncode=2) from error
        except KeyboardInterrupt:
            raise CommandError("interrupted; run again to finish", returncode=130) from None
        self._show(counts, report)

    def _show(self, counts: Counts, report: Path) -> None:
        console = Console()
        with console.capture() as shown:
            console.print(_table(counts))
        self.stdout.write(shown.get())
        if counts.rejected:
            self.stdout.write(f"Rejected lines: {report}")


def _above_zero(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ArgumentTypeError(f"{value!r} is not a number above zero")
    return int(value)


def _table(counts: Counts) -> Table:
    table = Table("", "count", title="Import")
    table.columns[1].justify = "right"
    table.add_row("lines read", f"{counts.lines_read:,}")
    table.add_row("orders created", f"{counts.orders_created:,}")
    table.add_row("orders there already", f"{counts.orders_there:,}")
    table.add_row("users created", f"{counts.users_created:,}")
    table.add_row("products created", f"{counts.products_created:,}")
    table.add_row("lines rejected", f"{counts.rejected.total():,}")
    for reason, lines in counts.rejected.most_common():
        table.add_row(f"  {reason}", f"{lines:,}")
    return table
