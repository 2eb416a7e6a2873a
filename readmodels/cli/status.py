"""`readmodels status`: what the read models are doing."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from readmodels import builds, deadletters, scrub, status
from readmodels.cli.base import Action, Exit, Output


class Status(Action):
    """Show backlog, lag, dead letters and alarms, and the generation that each read model is served from.

    Use it first when something seems wrong, and for monitoring: `lag_seconds` is the age of the oldest change that is
    not yet projected, and stays under some seconds on a system that keeps up. All that a read model held at
    `verified_as_of` was compared since with a fresh build: so many were `found` to differ, so many are `unsettled`. It
    is empty until the scrub has gone round once.
    """

    name = "status"
    exits = {Exit.FINE: "the status is shown, alarms or not"}
    examples = ("status", "status --json")

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """The parts are asked one after the other, so they may be of slightly different moments."""
        pending = status.backlog()
        generations = [asdict(row) for row in status.read_models(pending)]
        lanes = [asdict(row) for row in status.lanes(pending)]
        verified = [asdict(each) for each in scrub.verified_as_of()]
        rebuilds = [asdict(each) for each in builds.progress()]
        alarms = status.alarms()
        totals = {
            "backlog_rows": sum(group.rows for group in pending),
            "lag_seconds": max((group.lag_seconds for group in pending), default=0.0),
            "dead_letters": deadletters.count(),
        }
        tables = {"read_models": generations, "lanes": lanes, "verified": verified, "rebuilds": rebuilds}
        out.document({**tables, **totals, "alarms": alarms})
        out.rows(generations, "no read model is built")
        out.rows(lanes)
        out.rows(verified)
        if rebuilds:
            out.rows(rebuilds)
        out.line("  ".join(f"{name} {value}" for name, value in totals.items()))
        for alarm in alarms:
            out.line(f"ALARM: {alarm}")
        return Exit.FINE
