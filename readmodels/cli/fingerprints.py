"""`readmodels fingerprints`: the declarations' fingerprints in files that are committed, so that a change is seen."""

import json
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings

from readmodels.cli.base import Action, Exit, Output, Refused
from readmodels.declare import declared
from readmodels.fingerprint import fingerprint

FILE = "fingerprints.json"
# A virtual environment may well lie in the project's folder.
INSTALLED = {"site-packages", "dist-packages"}


class Fingerprints(Action):
    """Write the fingerprint of each declared read model to a file beside the declarations, to be committed with them.

    A deployment builds anew what has another fingerprint, so a reviewer sees in the diff what that will be. The file is
    `readmodels/fingerprints.json` of each app in the project's folder; installed packages are left alone. With --check
    nothing is written: for a pipeline, which needs neither PostgreSQL nor Redis for it.
    """

    name = "fingerprints"
    exits = {
        Exit.FINE: "the files are written; with --check: they hold what is declared",
        Exit.NO: "with --check: a read model is new, changed or gone",
    }
    examples = ("fingerprints", "fingerprints --check")

    def arguments(self, parser: ArgumentParser) -> None:
        """Whether to compare only."""
        parser.add_argument("--check", action="store_true", help="compare with what is declared, and write nothing")

    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """Exit.NO with --check where a file holds anything else than is declared."""
        files = by_file()
        if not options["check"]:
            for file, prints in files.items():
                write(file, prints)
                out.line(f"{shown(file)}: {len(prints)} read models")
            out.document({"files": {shown(file): prints for file, prints in files.items()}})
            return Exit.FINE
        found = [row for file, prints in files.items() for row in differences(file, prints)]
        out.document({"differences": found})
        out.rows(found, "the files hold what is declared")
        if found:
            out.line("A deployment builds what is new or changed. If that is meant: manage.py readmodels fingerprints")
        return Exit.NO if found else Exit.FINE


def by_file() -> dict[Path, dict[str, str]]:
    """What each file of the project has to hold: read model to fingerprint."""
    found = {}
    for config in filter(is_own, apps.get_app_configs()):
        file = Path(config.path) / "readmodels" / FILE
        package = f"{config.name}.readmodels."
        own = [name for name, each in declared().items() if f"{each.__module__}.".startswith(package)]
        if own or file.exists():
            found[file] = {name: fingerprint(declared()[name]) for name in sorted(own)}
    return found


def is_own(config: AppConfig) -> bool:
    """Whether the app is the project's, and not a package installed for it."""
    path, project = Path(config.path), Path(settings.BASE_DIR)
    return path.is_relative_to(project) and INSTALLED.isdisjoint(path.relative_to(project).parts)


def differences(file: Path, prints: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Each read model that is new, changed or gone, compared with the file."""
    held = read(file)
    for name in sorted({*held, *prints}):
        before, now = held.get(name), prints.get(name)
        if before != now:
            state = "new" if before is None else "gone" if now is None else "changed"
            yield {"read_model": name, "state": state, "committed": before, "declared": now, "file": shown(file)}


def read(file: Path) -> dict[str, Any]:
    """What the file holds; nothing where there is none."""
    try:
        held = json.loads(file.read_text()) if file.exists() else {}
    except (OSError, ValueError) as error:
        raise Refused(f"{shown(file)} can't be read: {error}; accepted: what `fingerprints` writes") from error
    if not isinstance(held, dict):
        raise Refused(f"{shown(file)} holds no object; accepted: what `fingerprints` writes")
    return held


def write(file: Path, prints: Mapping[str, str]) -> None:
    """The file holds exactly these."""
    try:
        file.write_text(json.dumps(prints, indent=4) + "\n")
    except OSError as error:
        raise Refused(f"{shown(file)} can't be written: {error.strerror}") from error


def shown(file: Path) -> str:
    """The file's name in the project."""
    return str(file.relative_to(settings.BASE_DIR))
