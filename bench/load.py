"""Asking over HTTP as quickly as answers come, by wrk; what was not answered as expected is an error, not a figure."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

CONNECTIONS = 32
THREADS = 1

# wrk runs this: every request another of the paths.
LUA = """
local paths = {%(paths)s}
local at = 0
request = function()
  at = at %% #paths + 1
  return wrk.format("GET", paths[at])
end
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("answers=%%d us=%%d lost=%%d p50=%%d p99=%%d\\n", summary.requests, summary.duration,
    errors.connect + errors.read + errors.write + errors.timeout, latency:percentile(50), latency:percentile(99)))
end
"""


class WrongAnswers(Exception):
    """The load was not answered as it should have been."""


@dataclass(frozen=True)
class Load:
    """What is asked for in turn, and with which headers."""

    url: str
    paths: Sequence[str]
    headers: Mapping[str, str]


def ask(load: Load, seconds: float, server: psutil.Process) -> dict[str, float]:
    """Requests per second, ms until half and 99 of 100 answers, and CPU ms of the server's processes per request."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        paths = ", ".join(f'"{path}"' for path in load.paths)
        script.write_text(LUA % {"paths": paths})
        before = cpu_seconds(server)
        found = _wrk(load, script, seconds)
        cpu = cpu_seconds(server) - before
    answers, microseconds = found["answers"], found["us"]
    return {
        "requests/s": answers / microseconds * 1e6,
        "p50 ms": found["p50"] / 1000,
        "p99 ms": found["p99"] / 1000,
        "CPU ms": cpu / answers * 1000,
    }


def cpu_seconds(process: psutil.Process) -> float:
    """What the process and its children have used."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def _wrk(load: Load, script: Path, seconds: float) -> dict[str, int]:
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("No wrk: bench/install.sh says how to get it.")
    headers = [word for name, value in load.headers.items() for word in ("--header", f"{name}: {value}")]
    options = [f"--connections={CONNECTIONS}", f"--threads={THREADS}", f"--duration={seconds}s", f"--script={script}"]
    done = subprocess.run([program, *options, *headers, load.url], capture_output=True, text=True, timeout=seconds + 60)
    found = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", done.stdout)}
    # wrk itself counts answers that are no 2xx or 3xx.
    if done.returncode or not found.get("answers") or found["lost"] or "Non-2xx" in done.stdout:
        raise WrongAnswers(f"{load.url}{load.paths[0]}: {done.stdout}{done.stderr}")
    return found
