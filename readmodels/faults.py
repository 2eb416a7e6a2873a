"""Named points between the projector's steps, where a test has the process that gets there killed or stopped.

In production code because the promise is about production code: a real worker, killed between two of its own steps
without a chance to tidy up, loses nothing. Nobody outside of the process can tell when it is there. Off, at the price
of one comparison, unless READMODELS_FAULT is set when the process starts:

    READMODELS_FAULT=after_write:kill:0.3    SIGKILL in three of ten passes
    READMODELS_FAULT=after_snapshot:stop     SIGSTOP in every pass, until somebody sends SIGCONT
    READMODELS_FAULT=amid_build=OrderDetail/7:kill    SIGKILL whenever this document is built, and only then
"""

import os
import random
import signal
from collections.abc import Collection
from dataclasses import dataclass

POINTS = (
    "after_leases",
    "after_snapshot",
    "amid_writes",
    "after_write",
    "after_acknowledge",
    "after_progress",
    "waiting",
)
AMID_BUILD = "amid_build"  # not between steps: while one document is built, which has to be named
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


@dataclass(frozen=True)
class Fault:
    """What READMODELS_FAULT asks for: at this point, with one read model's key in hand if it names one, this signal."""

    point: str
    read_model: str
    key: str
    signal: signal.Signals
    probability: float

    def is_due(self, point: str, read_model: str, keys: Collection[str]) -> bool:
        """Whether whoever is at the point, with these keys in hand, is the one."""
        is_meant = not self.key or (read_model == self.read_model and self.key in keys)
        return point == self.point and is_meant and random.random() < self.probability  # noqa: S311 (nothing secret)


def reached(point: str, read_model: str = "", keys: Collection[str] = ()) -> None:
    """The process is at this point, with these keys of a read model in hand; in production it simply goes on."""
    if _FAULT is not None and _FAULT.is_due(point, read_model, keys):
        os.kill(os.getpid(), _FAULT.signal)


def parse(text: str) -> Fault:
    """The fault that READMODELS_FAULT names; raises ValueError for what would never happen."""
    where, action, *rest = [*text.split(":"), ""]
    point, _, document = where.partition("=")
    read_model, _, key = document.partition("/")
    is_known = bool(key) if point == AMID_BUILD else point in POINTS and not document
    if not is_known or action not in SIGNALS:
        raise ValueError(
            f"READMODELS_FAULT={text!r} can't be used; accepted: one of {', '.join(POINTS)} or"
            f" {AMID_BUILD}=ReadModel/key, then :kill or :stop, then :probability or nothing"
        )
    return Fault(point, read_model, key, SIGNALS[action], float(rest[0] or 1))


_wanted = os.environ.get("READMODELS_FAULT")
_FAULT = parse(_wanted) if _wanted else None
