"""docs/how-to/test-a-read-model.md followed: its files, as they stand, are run by pytest on servers of its own."""

import os
import re
import subprocess
import sys
from collections import defaultdict

from project.env import ROOT, SERVER_VARIABLES

PAGE = ROOT / "docs/how-to/test-a-read-model.md"
BLOCK = re.compile(r"^```python (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples_pass_as_they_stand(tmp_path):
    files = defaultdict(str)
    for name, text in BLOCK.findall(PAGE.read_text()):
        files[name] += text
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    options = ["-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider", "-q", *tmp_path.glob("*_test.py")]
    kept = {name: value for name, value in os.environ.items() if name not in SERVER_VARIABLES}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=ROOT,
        env=kept,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr
