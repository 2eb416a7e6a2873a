"""The command line as people and scripts use it: `manage.py readmodels`, in the test's own process."""

import json
from dataclasses import dataclass
from typing import Any

from readmodels.management.commands.readmodels import Command


@dataclass(frozen=True)
class Answer:
    """What a command line gave."""

    code: int
    out: str
    error: str

    @property
    def data(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


def readmodels(capsys, *words: object) -> Answer:
    """The answer to `manage.py readmodels WORDS`, with what the engine logs left out."""
    capsys.readouterr()
    code = 0
    try:
        Command().run_from_argv(["manage.py", "readmodels", *(str(word) for word in words)])
    except SystemExit as end:
        code = int(end.code or 0)
    out, error = capsys.readouterr()
    return Answer(code, out, "\n".join(line for line in error.splitlines() if not line.startswith("timestamp=")))
