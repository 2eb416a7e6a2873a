"""`readmodels verify`: whether what is stored is what a fresh build gives."""

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from readmodels import drift, generations, snapshot
from readmodels.cli.base import Action, Exit, Output, number, read_model
from readmodels.drift import Drift
from readmodels.models import GenerationState
from readmodels.store import Store


class Verify(Action):
    """Compare documents, rows, indexes and measures with a fresh build, and with --repair mend what differs.

    Use it after an incident, before and after a deployment, or from time to time; writes may go on meanwhile. What is
    parked, and what changed at each look or was not projected in time (unsettled), is no drift and is shown apart.
    --sample looks at some rows in place of all. Without --repair nothing is written.
    """

    name = "verify"
    exits = {
        Exit.FINE: "nothing differs, or all that did is mended",
        Exit.NO: "something differs, is parked or could not be told",
    }
    examples = ("verify", "verify OrderDetail CustomerOrders --json", "verify --sample 1000", "verify --repair")

    def arguments(self, parser: ArgumentParser) -> None:
        """The read models, all by default."""
        parser.add_argument(
            "read_models", nargs="*", metavar="NAME", type=read_model, help="a read model (all that are live)"
        )
        parser.add_argument("--sample", type=number, metavar="N", help="about so many rows of each, at random")
        parser.add_argument("--repair", action="store_true", help="mend what differs")

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Exit.NO where anything differs and is not mended, or could not be judged."""
        found = verified(options["read_models"], options["sample"], is_repairing=options["repair"])
        out.document({"read_models": [asdict(each) for each in found]})
        out.rows([counts(each) for each in found], "no read model is built")
        return Exit.NO if any(each.left or each.parked or each.unsettled for each in found) else Exit.FINE


def verified(names: list[str], sample: int | None, *, is_repairing: bool) -> list[Drift]:
    """The live generations of these read models, or of all, compared."""
    with snapshot.reading() as (cursor, _):
        current = generations.current(cursor)
    live = [each for each in current if each.state == GenerationState.LIVE]
    chosen = [each for each in live if not names or each.plan.name in names]
    return [drift.audit(Store(), each, sample=sample, is_repairing=is_repairing) for each in chosen]


def counts(found: Drift) -> dict[str, Any]:
    """What was found, in numbers."""
    return {
        "read_model": found.read_model,
        "compared": found.compared,
        "missing": len(found.missing),
        "stale": len(found.stale),
        "orphan": len(found.orphan),
        "uneven": len(found.uneven),
        "parked": len(found.parked),
        "unsettled": len(found.unsettled),
        "mended": found.mended,
    }
