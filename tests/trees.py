"""A copy of the project as a newcomer has it, for tests that change its files."""

import shutil
import subprocess
from pathlib import Path

from project.env import ROOT

LISTED = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]


def copy_project(to: Path) -> None:
    """The folder holds every file that git keeps, or would, as it is now."""
    names = subprocess.run(LISTED, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():  # not one that was deleted just now
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def edit(file: Path, before: str, after: str) -> None:
    """The text, which stands there once, is replaced."""
    found = file.read_text()
    assert found.count(before) == 1, f"{file} holds not once:\n{before}"
    file.write_text(found.replace(before, after))
