"""`make demo` as a newcomer meets it, on real transactions."""

import os
import subprocess
import sys

from project.env import ROOT, SERVER_VARIABLES
from tests import retail

DEMO_SECONDS = 180


def demo(*words, folder):
    kept = {name: value for name, value in os.environ.items() if name not in (*SERVER_VARIABLES, "DEMO")}
    command = [sys.executable, ROOT / "manage.py", "demo", "--data-folder", folder, *words]
    return subprocess.run(command, env=kept, capture_output=True, text=True, timeout=DEMO_SECONDS, check=False)


def test_demo_on_real_orders_finds_no_drift(tmp_path):
    done = demo("--data", retail.FILE, folder=tmp_path / "demo")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all 100 order documents say" in done.stdout
    assert "612" in done.stdout  # 512 invoices and the demo's own 100 orders


def test_demo_refuses_a_file_that_is_no_csv(tmp_path):
    file = tmp_path / "orders.csv"
    file.write_bytes(b"\x00\x01 no table")
    done = demo("--data", file, folder=tmp_path / "demo")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    missing = demo("--data", tmp_path / "none.csv", folder=tmp_path / "demo")
    assert (missing.returncode, "there is no such file" in missing.stderr) == (2, True)
