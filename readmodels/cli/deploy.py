"""`readmodels deploy`: what a deployment needs after migrate."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from readmodels import generations
from readmodels.cli.base import Action, Exit, Output


class Deploy(Action):
    """Bring triggers in line, and register a generation for each declaration that changed, and only for those.

    `migrate` does the same at its end; a worker, the relay or `rebuild` then builds what is new, and switches to it.
    With --check nothing is done: for a pipeline that must not go on where something is left to deploy.
    """

    name = "deploy"
    exits = {Exit.FINE: "everything is deployed", Exit.NO: "with --check: something is to be deployed"}
    examples = ("deploy", "deploy --check")

    def arguments(self, parser: ArgumentParser) -> None:
        """Whether to look only."""
        parser.add_argument("--check", action="store_true", help="say what would be done, and do nothing")

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Exit.NO with --check where anything is left to do."""
        if options["check"]:
            triggers, new = generations.missing_triggers(), generations.undeployed()
        else:
            triggers, new = [], generations.deploy()
        out.document({"triggers": triggers, "generations": new})
        out.line(f"triggers to be put: {', '.join(triggers) or 'none'}" if options["check"] else "triggers are in line")
        out.line(f"new generations: {', '.join(new) or 'none'}")
        return Exit.NO if options["check"] and (triggers or new) else Exit.FINE
