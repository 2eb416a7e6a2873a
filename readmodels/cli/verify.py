"""`readmodels verify`: whether what is stored is what a fresh build gives."""

from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from readmodels import drift, generations, snapshot
from readmodels.cli.base import Action, Exit, Output, read_model
from readmodels.drift import Drift
from readmodels.models import GenerationState
from readmodels.store import Store


class Verify(Action):
    """Compare documents, rows, indexes and measures with a fresh build; writes nothing.

    Use it after an incident, before and after a deployment, or from time to time. Run it at rest: what is projected
    while it compares may be reported.
    """

    name = "verify"
    exits = {Exit.FINE: "nothing differs", Exit.NO: "something differs"}
    examples = ("verify", "verify OrderDetail CustomerOrders --json")

    def arguments(self, parser: ArgumentParser) -> None:
        """The read models, all by default."""
        parser.add_argument(
            "read_models", nargs="*", metavar="NAME", type=read_model, help="a read model (all that are live)"
        )

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Exit.NO where anything differs."""
        found = verified(options["read_models"])
        out.document({"read_models": [asdict(each) for each in found]})
        out.rows([counts(each) for each in found], "no read model is built")
        return Exit.NO if any(each.total for each in found) else Exit.FINE


def verified(names: list[str]) -> list[Drift]:
    """The live generations of these read models, or of all, compared."""
    with snapshot.reading() as (cursor, _):
        current = generations.current(cursor)
    live = [each for each in current if each.state == GenerationState.LIVE]
    chosen = [each for each in live if not names or each.plan.name in names]
    return [drift.verify_generation(Store(), generation) for generation in chosen]


def counts(found: Drift) -> dict[str, Any]:
    """What was found, in numbers."""
    return {
        "read_model": found.read_model,
        "compared": found.compared,
        "missing": len(found.missing),
        "stale": len(found.stale),
        "orphan": len(found.orphan),
        "uneven": len(found.uneven),
    }
