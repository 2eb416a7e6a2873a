"""The fault points: off unless asked for, and never asked for in vain."""

import signal
import subprocess
import sys

import pytest

from project.env import ROOT
from readmodels import faults

PASS = "from readmodels import faults; faults.reached('after_leases'); faults.reached('after_write'); print('passed')"


def run(fault: str) -> subprocess.CompletedProcess[str]:
    environ = {"READMODELS_FAULT": fault}
    return subprocess.run([sys.executable, "-c", PASS], env=environ, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("fault", ["", "after_progress:kill", "after_write:kill:0"])
def test_a_point_that_is_not_named_is_passed(fault):
    assert run(fault).stdout == "passed\n"


def test_a_process_is_killed_at_the_point_it_is_told():
    ended = run("after_write:kill")
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "")


@pytest.mark.parametrize("text", ["after_lunch:kill", "after_write:explode", "after_write", "after_write:kill:often"])
def test_what_would_never_happen_is_refused(text):
    with pytest.raises(ValueError):
        faults.parse(text)
