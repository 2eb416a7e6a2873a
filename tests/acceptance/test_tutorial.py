"""docs/tutorial.md followed to the letter on real servers: files written, commands run, output compared."""

import contextlib
import doctest
import io
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from project.env import ROOT, SERVER_VARIABLES
from tests.trees import copy_project, edit

BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STARTED = "Ctrl-C stops everything."
START_SECONDS = 60
COMMAND_SECONDS = 60
# What only reads is read again for as long: the worker builds, and projects writes without a token, beside it.
SETTLE_SECONDS = 30
READS = ("api.get(", "[row[", "$ .venv/bin/python manage.py readmodels ")
# A fingerprint changes with the engine's format; that it is one is all that counts.
FINGERPRINT = re.compile(r"\b[0-9a-f]{16}\b")
AS_PRINTED = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def same(wanted, got):
    as_digits = [FINGERPRINT.sub("<fingerprint>", text) for text in (wanted, got)]
    return doctest.OutputChecker().check_output(*as_digits, AS_PRINTED)


class Reader:
    """Somebody who does what the page says, in a copy of the project, on a port that is free."""

    def __init__(self, folder: Path):
        self.folder, self.output, self.site, self.names = folder, folder.with_suffix(".out"), None, {}
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port = str(free.getsockname()[1])
        ignored = (*SERVER_VARIABLES, "DEMO", "READMODELS_DATA", "DJANGO_SETTINGS_MODULE", "MAKEFLAGS", "MAKELEVEL")
        kept = {name: value for name, value in os.environ.items() if name not in ignored}
        self.environ = kept | {"PYTHONUNBUFFERED": "1", "PORT": self.port}

    def follow(self, page: str):
        steps = {"python": self.write, "diff": self.edit, "console": self.run, "pycon": self.talk}
        for language, path, text in BLOCK.findall(page.replace("8000", self.port)):
            steps[language](*([path] if path else []), text)

    def write(self, path, text):
        (self.folder / path).write_text(text)

    def edit(self, path, text):
        """Each hunk's lines that stay or go are found as they stand, once, and replaced by those that stay or come."""
        for hunk in text.split("@@\n"):
            lines = hunk.splitlines(keepends=True)
            before = "".join(line[1:] for line in lines if line[0] != "+")
            after = "".join(line[1:] for line in lines if line[0] != "-")
            edit(self.folder / path, before, after)

    def run(self, text):
        for command, wanted in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            if command == "make run":
                self.restart()
                got = self.output.read_text()
                assert same(wanted, got), got
            else:
                self.expect(wanted, f"$ {command}", lambda command=command: self.shell(command))

    def talk(self, text):
        for example in doctest.DocTestParser().get_examples(text):
            self.expect(example.want, example.source, lambda source=example.source: self.evaluate(source))

    def expect(self, wanted, source, do):
        gives_up_at = time.monotonic() + (SETTLE_SECONDS if source.startswith(READS) else 0)
        while not same(wanted, got := do()):
            assert time.monotonic() < gives_up_at, f"{source}\nexpected:\n{wanted}\ngot:\n{got}"
            time.sleep(0.2)

    def evaluate(self, source):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(source, "tutorial", "single"), self.names)
        return printed.getvalue()

    def shell(self, command):
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return done.stdout

    def restart(self):
        self.stop()
        with self.output.open("w") as output:
            self.site = subprocess.Popen(
                ["make", "run"],
                cwd=self.folder,
                env=self.environ,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        gives_up_at = time.monotonic() + START_SECONDS
        while STARTED not in self.output.read_text():
            assert self.site.poll() is None, self.output.read_text()
            assert time.monotonic() < gives_up_at, self.output.read_text()
            time.sleep(0.1)

    def stop(self):
        if self.site and self.site.poll() is None:
            os.killpg(self.site.pid, signal.SIGINT)
            self.site.wait(COMMAND_SECONDS)


@pytest.fixture
def folder():
    """Not pytest's own: each session of it closes that to other accounts, and PostgreSQL never runs as root."""
    with tempfile.TemporaryDirectory(prefix="readmodels-tutorial-", ignore_cleanup_errors=True) as found:
        yield Path(found) / "project"


@pytest.fixture
def reader(folder):
    """The project as a newcomer has it, with a virtual environment in which the pins are installed already."""
    copy_project(folder)
    virtual = folder / ".venv"
    virtual.mkdir()
    for entry in Path(sys.prefix).iterdir():
        (virtual / entry.name).symlink_to(entry)
    stamp = subprocess.run(
        "cksum < requirements.txt", shell=True, cwd=folder, capture_output=True, text=True, check=True
    )
    pins = virtual / f"pins-{stamp.stdout.split()[0]}"
    if not pins.exists():  # else it is that of the environment itself, whose tools would be installed again
        pins.touch()
    found = Reader(folder)
    yield found
    found.stop()


def test_tutorial_can_be_followed(reader):
    reader.follow((ROOT / "docs" / "tutorial.md").read_text())
