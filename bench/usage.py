"""What processes have used: CPU time, that of children that have ended included, and memory at the most."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")  # the kernel tells CPU time in whole ones


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """What these processes and all that they started have used so far."""
    return sum(sum(each.cpu_times()[:4]) for each in _with_children(processes))


def peak_megabytes(processes: Iterable[psutil.Process]) -> float:
    """The most memory that any one of these processes, or of what they started and is still there, has had."""
    return max((_peak_bytes(each) for each in _with_children(processes)), default=0.0) / 2**20


def _with_children(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    return [each for process in processes for each in (process, *process.children(recursive=True))]


def _peak_bytes(process: psutil.Process) -> float:
    """As the kernel remembers it; where it doesn't tell, what the process has now."""
    with suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    with suppress(psutil.NoSuchProcess):
        return float(process.memory_info().rss)
    return 0.0
