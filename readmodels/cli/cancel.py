"""`readmodels cancel`: a rebuild is given up."""

from collections.abc import Mapping
from typing import Any

from readmodels import switching
from readmodels.cli.base import Exit, OfReadModel, Output


class Cancel(OfReadModel):
    """Give up what is being built of a read model; the live generation goes on as it was.

    Its builder stops at its next range, and what was built goes. The next `deploy` or `migrate` of a changed
    declaration begins anew. What newer code has made and left behind, when it was taken back, is given up as well.
    """

    name = "cancel"
    exits = {Exit.FINE: "it is cancelled", Exit.NO: "nothing was being built"}
    examples = ("cancel OrderDetail",)

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Exit.NO where nothing was being built."""
        name = options["read_model"]
        cancelled = switching.cancel(name)
        out.document({"read_model": name, "cancelled": cancelled})
        out.line(f"{name}: {'cancelled' if cancelled else 'nothing was being built'}")
        return Exit.FINE if cancelled else Exit.NO
