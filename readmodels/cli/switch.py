"""`readmodels switch`: queries see another generation that is kept current."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from readmodels import switching
from readmodels.cli.base import Action, Exit, Output, number, read_model
from readmodels.store import Store


class Switch(Action):
    """Serve this generation, which is kept current but is not live: forward again after a rollback.

    `status` says which there are. A new generation needs no switch: it is served once it is built.
    """

    name = "switch"
    exits = {Exit.FINE: "the generation is served"}
    examples = ("switch OrderDetail 3",)

    def arguments(self, parser: ArgumentParser) -> None:
        """The read model and the generation."""
        parser.add_argument("read_model", metavar="NAME", type=read_model, help="the read model")
        parser.add_argument("generation", metavar="GENERATION", type=number, help="its number, as `status` has it")

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Refused where the generation is not current."""
        name, generation = options["read_model"], options["generation"]
        switching.switch(Store(), name, generation)
        out.document({"read_model": name, "generation": generation})
        out.line(f"{name}: generation {generation} is live")
        return Exit.FINE
