"""`readmodels rollback`: queries see the generation before again."""

from collections.abc import Mapping
from typing import Any

from readmodels import switching
from readmodels.cli.base import Exit, OfReadModel, Output
from readmodels.errors import CannotSwitch
from readmodels.store import Store


class Rollback(OfReadModel):
    """Serve the generation before the live one again, at once.

    It was kept current for RETIRED_SECONDS after the switch, so nothing is built. The one rolled back from stays
    current too: `switch` goes forward to it. Refused, with the reason, where there is none to go back to.
    """

    name = "rollback"
    exits = {Exit.FINE: "the generation before is served", Exit.NO: "there is none to go back to"}
    examples = ("rollback OrderDetail",)

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Exit.NO where there is nothing to go back to."""
        name = options["read_model"]
        try:
            number = switching.rollback(Store(), name)
        except CannotSwitch as error:
            out.document({"read_model": name, "refused": str(error)})
            out.line(str(error))
            return Exit.NO
        out.document({"read_model": name, "generation": number})
        out.line(f"{name}: generation {number} is live again")
        return Exit.FINE
