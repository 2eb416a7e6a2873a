"""`readmodels switch`: queries see another generation that is kept current."""

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from readmodels import switching
from readmodels.cli.base import Exit, OfReadModel, Output, number
from readmodels.store import Store


class Switch(OfReadModel):
    """Serve this generation, which is kept current but is not live: forward again after a rollback.

    `status` says which there are. A new generation needs no switch: it is served once it is built.
    """

    name = "switch"
    exits = {Exit.FINE: "the generation is served"}
    examples = ("switch OrderDetail 3",)

    def arguments(self, parser: ArgumentParser) -> None:
        """The read model and the generation."""
        super().arguments(parser)
        parser.add_argument("generation", metavar="GENERATION", type=number, help="its number, as `status` has it")

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Refused where the generation is not current."""
        name, generation = options["read_model"], options["generation"]
        switching.switch(Store(), name, generation)
        out.document({"read_model": name, "generation": generation})
        out.line(f"{name}: generation {generation} is live")
        return Exit.FINE
