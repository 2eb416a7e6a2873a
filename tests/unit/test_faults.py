"""The fault points: off unless asked for, and never asked for in vain."""

import signal
import subprocess
import sys

import pytest

from project.env import ROOT
from readmodels import faults

PASS = (
    "from readmodels import faults; faults.reached('after_leases'); faults.reached('after_write');"
    " faults.reached('amid_build', 'OrderDetail', {'7', '8'}); print('passed')"
)


def run(fault: str) -> subprocess.CompletedProcess[str]:
    environ = {"READMODELS_FAULT": fault}
    return subprocess.run([sys.executable, "-c", PASS], env=environ, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize(
    "fault",
    [
        "",
        "after_progress:kill",
        "after_write:kill:0",
        "amid_build=OrderDetail/78:kill",
        "amid_build=UserProfile/7:kill",
    ],
)
def test_a_point_that_is_not_named_is_passed(fault):
    assert run(fault).stdout == "passed\n"


@pytest.mark.parametrize("fault", ["after_write:kill", "amid_build=OrderDetail/7:kill"])
def test_a_process_is_killed_at_the_point_it_is_told(fault):
    ended = run(fault)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "")


@pytest.mark.parametrize(
    "text",
    [
        "after_lunch:kill",
        "after_write:explode",
        "after_write",
        "after_write:kill:often",
        "after_write=OrderDetail/7:kill",
        "amid_build:kill",
        "amid_build=7:kill",
    ],
)
def test_what_would_never_happen_is_refused(text):
    with pytest.raises(ValueError):
        faults.parse(text)
