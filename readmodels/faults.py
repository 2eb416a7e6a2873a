"""Named points between the projector's steps, where a test has the process that gets there killed or stopped.

In production code because the promise is about production code: a real worker, killed between two of its own steps
without a chance to tidy up, loses nothing. Nobody outside of the process can tell when it is there. Off, at the price
of one comparison, unless READMODELS_FAULT is set when the process starts:

    READMODELS_FAULT=after_write:kill:0.3    SIGKILL in three of ten passes
    READMODELS_FAULT=after_snapshot:stop     SIGSTOP in every pass, until somebody sends SIGCONT
"""

import os
import random
import signal

POINTS = ("after_leases", "after_snapshot", "amid_writes", "after_write", "after_acknowledge", "after_progress")
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def reached(point: str) -> None:
    """The process is at this point; in production it simply goes on."""
    if point != _POINT:
        return
    if random.random() < _PROBABILITY:  # noqa: S311 (nothing secret)
        os.kill(os.getpid(), _SIGNAL)


def parse(text: str) -> tuple[str, signal.Signals, float]:
    """(point, signal, probability) of READMODELS_FAULT; raises ValueError for what would never happen."""
    point, action, *rest = [*text.split(":"), ""]
    if point not in POINTS or action not in SIGNALS:
        raise ValueError(
            f"READMODELS_FAULT={text!r} can't be used; accepted: one of {', '.join(POINTS)}, then :kill or :stop,"
            " then :probability or nothing"
        )
    return point, SIGNALS[action], float(rest[0] or 1)


_wanted = os.environ.get("READMODELS_FAULT")
_POINT, _SIGNAL, _PROBABILITY = parse(_wanted) if _wanted else (None, signal.SIGKILL, 0.0)
