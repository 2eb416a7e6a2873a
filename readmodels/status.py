"""What the read models are doing, for people and for monitoring."""

from dataclasses import dataclass

from readmodels import models
from readmodels.declare import declared
from readmodels.fingerprint import fingerprint


@dataclass(frozen=True)
class ReadModelStatus:
    """One generation of a read model; `is_declared`: the running code declares exactly this."""

    read_model: str
    generation: int
    state: str
    fingerprint: str
    is_declared: bool


def read_models() -> list[ReadModelStatus]:
    """Every generation that there is, by read model."""
    declared_prints = {name: fingerprint(read_model) for name, read_model in declared().items()}
    return [
        ReadModelStatus(
            row.read_model,
            row.number,
            row.state,
            row.fingerprint,
            declared_prints.get(row.read_model) == row.fingerprint,
        )
        for row in models.Generation.objects.order_by("read_model", "number")
    ]
