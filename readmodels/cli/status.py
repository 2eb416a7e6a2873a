"""`readmodels status`: what the read models are doing."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from readmodels import deadletters, outbox, status
from readmodels.cli.base import Action, Exit, Output


class Status(Action):
    """Show backlog, lag, dead letters and alarms, and the generation that each read model is served from.

    Use it first when something seems wrong, and for monitoring: `lag_seconds` is the age of the oldest change that is
    not yet projected, and stays under some seconds on a system that keeps up.
    """

    name = "status"
    exits = {Exit.FINE: "the status is shown, alarms or not"}
    examples = ("status", "status --json")

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Shown as one snapshot of each part; the parts are asked one after the other."""
        generations = [asdict(row) for row in status.read_models()]
        alarms = status.alarms()
        totals = {
            "backlog_rows": outbox.backlog_rows(),
            "lag_seconds": round(outbox.lag_seconds(), 3),
            "dead_letters": deadletters.count(),
        }
        out.document({"read_models": generations, **totals, "alarms": alarms})
        out.rows(generations, "no read model is built")
        out.line("  ".join(f"{name} {value}" for name, value in totals.items()))
        for alarm in alarms:
            out.line(f"ALARM: {alarm}")
        return Exit.FINE
