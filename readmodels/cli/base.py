"""What every action of `manage.py readmodels` has in common: how it teaches itself, answers, and says no."""

import json
from abc import ABC, abstractmethod
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from enum import IntEnum
from inspect import cleandoc
from typing import Any, ClassVar, TextIO

from rich.console import Console
from rich.table import Table

from readmodels.declare import declared

MANAGE = "manage.py readmodels"
# Where nobody sits at a terminal, a row is a line, so that grep and diff can work on it.
LINE_CHARACTERS = 1000


class Exit(IntEnum):
    """How an action ends; scripts go by it."""

    FINE = 0
    NO = 1  # the answer is no, or: there is something
    REFUSED = 2  # wrong arguments, or a server does not answer; one line on stderr says which


class Refused(Exception):
    """The action can't be done as it was asked for; the text names what was wrong and what is accepted."""


class Output:
    """Where an action answers: tables and lines for people or, with --json, one document for machines.

    An action says both; only what was asked for is written.
    """

    def __init__(self, stream: TextIO, *, is_json: bool) -> None:
        self._stream = stream
        self.is_json = is_json

    def document(self, data: Mapping[str, Any]) -> None:
        """With --json this is the answer; call it once."""
        if self.is_json:
            self._stream.write(json.dumps(data, default=_as_json) + "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]], empty: str = "none") -> None:
        """The rows under their columns, or one line that says there are none."""
        if self.is_json:
            return
        if not rows:
            self.line(empty)
            return
        table = Table(*columns)
        for row in rows:
            table.add_row(*(_as_text(value) for value in row))
        width = None if self._stream.isatty() else LINE_CHARACTERS
        console = Console(file=self._stream, width=width, markup=False, highlight=False)
        console.print(table)

    def console(self) -> Console:
        """Where a progress bar goes; there is none unless somebody sits at a terminal."""
        return Console(file=self._stream)

    def rows(self, found: Sequence[Mapping[str, Any]], empty: str = "none") -> None:
        """The same for rows that name their columns themselves, all alike."""
        self.table([*(found[0] if found else ())], [[*row.values()] for row in found], empty)

    def line(self, text: str = "") -> None:
        """One line of text."""
        if not self.is_json:
            self._stream.write(text + "\n")


class Action(ABC):
    """One action. Its docstring is what --help shows: one line for the list of actions, then what it does and when to
    use it.

    `exits` says in words when it ends with which code, `examples` are command lines after `manage.py readmodels`.
    """

    name: ClassVar[str]
    exits: ClassVar[Mapping[Exit, str]]
    examples: ClassVar[Sequence[str]]
    has_json: ClassVar[bool] = True

    @property
    def help(self) -> str:
        """One line."""
        return self.description.splitlines()[0].rstrip(".")

    @property
    def description(self) -> str:
        """What the action does and when to use it."""
        return cleandoc(type(self).__doc__ or "")

    @property
    def all_exits(self) -> Mapping[Exit, str]:
        """What each exit code means, in order."""
        return dict(sorted({Exit.REFUSED: "wrong arguments, or a server does not answer", **self.exits}.items()))

    @property
    def epilog(self) -> str:
        """Examples and exit codes."""
        examples = "\n".join(f"  {MANAGE} {example}" for example in self.examples)
        codes = "\n".join(f"  {code.value} {text}" for code, text in self.all_exits.items())
        return f"examples:\n{examples}\n\nexit codes:\n{codes}"

    def arguments(self, parser: ArgumentParser) -> None:  # noqa: B027  # most take something, none has to
        """Called once to add what the action takes; --json is there already."""

    @abstractmethod
    def run(self, options: Mapping[str, Any], out: Output) -> Exit:
        """The action is done and its answer given.

        Raises Refused for what it can't take. Errors of PostgreSQL and Redis need not be caught: they end with
        Exit.REFUSED and one line.
        """


class OfReadModel(Action):
    """An action on one read model, which comes as `options["read_model"]`."""

    def arguments(self, parser: ArgumentParser) -> None:
        """The read model."""
        parser.add_argument("read_model", metavar="NAME", type=read_model, help="the read model")


def read_model(text: str) -> str:
    """An argument's type: the name of a declared read model."""
    if text not in declared():
        raise ArgumentTypeError(f"{text!r} is no read model; accepted: {', '.join(sorted(declared()))}")
    return text


def number(text: str) -> int:
    """An argument's type: a whole number from 1."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) < 2**63):
        raise ArgumentTypeError(f"{text!r}; accepted: a whole number from 1")
    return int(text)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="milliseconds")
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(part) for part in value)
    return str(value)


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
