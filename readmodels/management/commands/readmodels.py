"""`manage.py readmodels status | verify`: what the read models are doing, and whether they are right."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError
from rich.console import Console
from rich.table import Table

from readmodels import deadletters, drift, outbox, status
from readmodels.errors import ReadModelError
from readmodels.store import Store

EPILOG = "Exit codes: 0 all is well, 1 documents differ (verify), 2 a server does not answer."


class Command(BaseCommand):
    help = f"Shows what the read models are doing, and compares them with a fresh build. {EPILOG}"

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="status | verify")
        for name, text in (
            ("status", "backlog, lag and dead letters, and the generation that each read model is served from"),
            ("verify", "compare every document, row, index and measure with a fresh build; writes nothing"),
        ):
            action = actions.add_parser(name, help=text, description=f"{text}. {EPILOG}")
            action.add_argument("--json", action="store_true", help="for machines")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            {"status": self.status, "verify": self.verify}[options["action"]](options["json"])
        except (DatabaseError, ReadModelError) as error:
            self.stderr.write(f"{options['action']} could not be done: {str(error).strip().splitlines()[0]}")
            sys.exit(2)

    def status(self, as_json: bool) -> None:
        rows = [asdict(row) for row in status.read_models()]
        totals = {
            "backlog_rows": outbox.backlog_rows(),
            "lag_seconds": round(outbox.lag_seconds(), 3),
            "dead_letters": len(deadletters.listed()),
            "alarms": status.alarms(),
        }
        self.show({"read_models": rows, **totals}, rows, as_json)

    def verify(self, as_json: bool) -> None:
        found = drift.verify(Store())
        rows = [
            {
                "read_model": each.read_model,
                "compared": each.compared,
                "missing": len(each.missing),
                "stale": len(each.stale),
                "orphan": len(each.orphan),
                "uneven": len(each.uneven),
            }
            for each in found
        ]
        self.show({"read_models": [asdict(each) for each in found]}, rows, as_json)
        if any(each.total for each in found):
            sys.exit(1)

    def show(self, data: dict[str, Any], rows: list[dict[str, Any]], as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(data))
            return
        table = Table(*(rows[0] if rows else ["no read model is built"]))
        for row in rows:
            table.add_row(*(str(value) for value in row.values()))
        Console().print(table)
        apart = ("read_models", "alarms")
        self.stdout.write("  ".join(f"{name} {value}" for name, value in data.items() if name not in apart))
        for alarm in data.get("alarms", ()):
            self.stdout.write(f"ALARM: {alarm}")
