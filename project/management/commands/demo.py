"""`manage.py demo`: the whole system started, driven as a client would, compared with a fresh build, and stopped."""

import json
import shutil
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand
from rich.console import Console
from rich.table import Table

from project import env
from project.child import CannotStart
from project.journey import Journey, JourneyFailed, travel
from project.site import MANAGE, ChildEnded, Site
from project.supervisor import running

IMPORT_SECONDS = 3600
PROJECT_SECONDS = 600
VERIFY_SECONDS = 600


class Command(BaseCommand):
    help = "Shows the system at work in a data folder of its own. Exit code 0: no document differs from a fresh build."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, help="orders to import (CSV, plain or .gz); generated ones otherwise")
        parser.add_argument("--data-folder", type=Path, default=env.data_folder() / "demo", help="%(default)s")

    def handle(self, *args: Any, **options: Any) -> None:
        data: Path | None = options["data"]
        if data is not None and not data.is_file():
            self.stderr.write(f"--data {data}: there is no such file; accepted: a CSV of orders, plain or .gz")
            sys.exit(2)
        # Embedded servers of an earlier demo hold nothing that anybody wants.
        shutil.rmtree(options["data_folder"], ignore_errors=True)
        try:
            with running(
                options["data_folder"], free_port(), events_port=free_port(), demo_data=data is None, say=self.say
            ) as site:
                is_right = self.show(site, data)
        except KeyboardInterrupt:
            self.say("Stopped.")
            sys.exit(130)
        except CannotStart as error:
            self.stderr.write(str(error))
            sys.exit(2)
        except (ChildEnded, JourneyFailed) as error:
            self.stderr.write(f"{error}\nEverything was stopped.")
            sys.exit(1)
        sys.exit(0 if is_right else 1)

    def show(self, site: Site, data: Path | None) -> bool:
        """Data, journey, comparison; whether nothing differs."""
        if data is not None:
            site.manage("create_demo_data", "--users=0", "--products=1", "--orders=0", limit_seconds=IMPORT_SECONDS)
            site.manage("import_orders", str(data.resolve()), limit_seconds=IMPORT_SECONDS, has_log=False)
        journey = travel(site.base_url, self.say)
        wait_until_projected(site)
        found = ask(site, "verify", limit_seconds=VERIFY_SECONDS)["read_models"]
        print_tables(journey, found)
        return not any(differing(row) for row in found)

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_projected(site: Site) -> None:
    """No change is pending; raises ChildEnded if some still are after ten minutes."""
    gives_up_at = time.monotonic() + PROJECT_SECONDS
    while left := ask(site, "status", limit_seconds=60)["backlog_rows"]:
        if time.monotonic() > gives_up_at:
            raise ChildEnded(f"{left} changes are not projected after {PROJECT_SECONDS} s; see {site.logs}/worker.log")


def ask(site: Site, action: str, limit_seconds: float) -> Any:
    """What `manage.py readmodels` says as JSON; it runs in a process that knows the servers."""
    command = [*MANAGE, "readmodels", action, "--json"]
    done = subprocess.run(
        command,
        env=dict(site.environ),
        cwd=env.ROOT,
        capture_output=True,
        text=True,
        timeout=limit_seconds,
        check=False,
    )
    if not done.stdout:
        raise ChildEnded(f"manage.py readmodels {action} ended with exit code {done.returncode}.\n{done.stderr}")
    return json.loads(done.stdout)


def differing(row: dict[str, Any]) -> int:
    """How many documents, rows and partitions of a read model differ from a fresh build."""
    return sum(len(row[kind]) for kind in ("missing", "stale", "orphan", "uneven"))


def print_tables(journey: Journey, found: list[dict[str, Any]]) -> None:
    """What there is, and what was measured."""
    documents = Table("read model", "documents", "drift")
    for row in found:
        documents.add_row(row["read_model"], f"{row['compared']:,}", str(differing(row)))
    measured = Table("measured", "")
    measured.add_row("writes over the API", str(journey.writes))
    measured.add_row("lag p50 (command answered to write read back)", f"{journey.percentile_ms(0.5):.1f} ms")
    measured.add_row("lag p99", f"{journey.percentile_ms(0.99):.1f} ms")
    measured.add_row("documents that differ from a fresh build", str(sum(differing(row) for row in found)))
    Console().print(documents, measured)
