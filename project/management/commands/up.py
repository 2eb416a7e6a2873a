"""`manage.py up`: the whole system on this machine, until Ctrl-C."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from project import env
from project.child import CannotStart
from project.demo_accounts import DEMO_ACCOUNTS
from project.site import ChildEnded, Site
from project.supervisor import running


class Command(BaseCommand):
    help = "Starts PostgreSQL, Redis, API, all else; Ctrl-C stops them. Exit code 2: something to do first."
    # The servers are not there yet; `migrate`, a child process, runs the checks.
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address that the API listens on (%(default)s)")
        parser.add_argument("--port", type=int, default=8000, help="port that the API listens on (%(default)s)")
        parser.add_argument("--events-port", type=int, help="port of the live updates (the next one)")
        parser.add_argument("--processes", type=int, default=2, help="of the API, and of the worker (%(default)s)")
        parser.add_argument("--data-folder", type=Path, default=env.data_folder(), help="%(default)s")
        parser.add_argument("--no-broker", action="store_true", help="a relay in place of worker, beat and broker")
        parser.add_argument("--no-demo-data", action="store_true", help="start with an empty database")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with running(
                options["data_folder"],
                options["port"],
                events_port=options["events_port"],
                host=options["host"],
                processes=options["processes"],
                demo_data=not options["no_demo_data"],
                has_broker=not options["no_broker"],
                say=self.say,
            ) as site:
                self.say(where_to_go(site))
                site.wait()
        except KeyboardInterrupt:
            self.say("Stopped.")
        except CannotStart as error:
            self.stderr.write(str(error))
            sys.exit(2)
        except ChildEnded as error:
            self.stderr.write(f"{error}\nEverything else was stopped.")
            sys.exit(1)

    def say(self, line: str) -> None:
        self.stdout.write(line)
        # Into a pipe or a file as well, whoever reads along is not kept waiting.
        self.stdout.flush()


def where_to_go(site: Site) -> str:
    """What to open, who may sign in, and where the logs are."""
    pages = {"API": "/api/", "OpenAPI": "/api/docs", "Admin": "/admin/"}
    lines = ["", *(f"  {name:<10} {site.base_url}{path}" for name, path in pages.items())]
    lines += [f"  {'Live':<10} {site.events_url}/api/orders/{{id}}/events"]
    if site.is_demo:
        lines += ["", *(f"  {account.role:<10} {account.email:<24} {account.password}" for account in DEMO_ACCOUNTS)]
    return "\n".join([*lines, "", f"  Logs are in {site.logs}. Ctrl-C stops everything.", ""])
