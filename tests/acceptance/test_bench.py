"""Every scenario of the benchmarks runs, small; how quick anything is, no test says."""

import os
import subprocess
import sys

import pytest

from bench.__main__ import SCENARIOS
from project.env import ROOT

SMOKE_SECONDS = 300
# Who has to be in the tables; a scenario that is not named here has ours and at least one other.
CONTENDERS = {
    "read_by_id": {
        "ours",
        "ours, the query service",
        "minimal WSGI app on Redis, for anybody",
        "minimal WSGI app with the headers of ours",
        "Flask on Redis, for anybody",
        "Django view on Redis, for anybody",
        "DRF on the ORM",
        "DRF on Django's Redis cache",
        "DRF on django-cacheops",
    },
    "commit_to_visible": {
        "ours",
        "ours, by a relay without a broker",
        "one Celery task per change",
        "the same, database connections kept",
    },
    "write_path": {"without capture", "ours", "a .delay() for the order", "a .delay() for each saved row"},
    "size": {"ours: OrderDetail", "the bare JSON, by SET of order:ID", "at the end"},
    "projection": {"ours, one document an order", "ours, all read models of an order"},
    "rebuild": {"100 orders", "500 orders", "2,000 orders"},
    "fan_out": {"nothing else at work", "during the storm"},
    "growth": {"10", "10,000", "0", "950"},
}


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench", *words]
    return subprocess.run(
        command, env=os.environ, cwd=ROOT, capture_output=True, text=True, timeout=SMOKE_SECONDS, check=False
    )


def contenders(text: str) -> set[str]:
    """The first cells of all rows."""
    return {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")} - {""}


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_runs(name):
    done = bench(name, "--smoke")
    assert done.returncode == 0, done.stdout + done.stderr
    assert CONTENDERS[name] <= contenders(done.stdout)
