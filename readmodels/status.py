"""What the read models are doing, for people and for monitoring."""

from dataclasses import dataclass

from readmodels import models, retention
from readmodels.conf import conf
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


def alarms() -> list[str]:
    """What somebody should look at, in plain words; empty where all is well."""
    heart = models.Heartbeat.objects.first()
    longest = retention.longest_transaction()
    letters = models.DeadLetter.objects.count()
    found = {
        "no Redis is trusted: it evicts, or was never looked at": not heart or not heart.store_id,
        "what Redis had lost is being projected again": bool(heart and heart.replays),
        f"{letters} dead letters": letters > 0,
    }
    if longest:
        text = f"a transaction is open for {longest.seconds:.0f} s: {longest.holder}"
        found[text] = longest.seconds > conf().long_transaction_seconds
    return [text for text, is_so in found.items() if is_so]
