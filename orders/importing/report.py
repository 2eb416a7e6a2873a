"""What became of every line: counts, and a CSV of the rejected lines, each with its number and the reason."""

import csv
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from orders.importing.errors import ImportRefused, Reason
from orders.importing.source import Row

if TYPE_CHECKING:
    from _csv import Writer


@dataclass
class Counts:
    """What an import did so far; grows as chunks are committed."""

    lines_read: int = 0
    orders_created: int = 0
    orders_there: int = 0
    users_created: int = 0
    products_created: int = 0
    rejected: Counter[Reason] = field(default_factory=Counter)


class Report:
    """The rejected lines; their file appears with the first of them."""

    def __init__(self, path: Path, header: list[str], counts: Counts, files: ExitStack) -> None:
        self._path = path
        self._header = header
        self._counts = counts
        self._files = files
        self._lines: Writer | None = None

    def reject(self, row: Row, reason: Reason) -> None:
        """Count the row and write it down."""
        self._lines = self._lines or self._opened()
        self._counts.rejected[reason] += 1
        self._lines.writerow([row.number, reason, *row.values])

    def _opened(self) -> "Writer":
        lines = csv.writer(self._files.enter_context(self._path.open("w", encoding="utf-8", newline="")))
        lines.writerow(["line_number", "reason", *self._header])
        return lines


@contextmanager
def reporting(path: Path, header: list[str], counts: Counts) -> Iterator[Report]:
    """Keep a report for the block; raises ImportRefused, before it begins, if it could not be written."""
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ImportRefused(f"the report {path} can't be written")
    with ExitStack() as files:
        yield Report(path, header, counts, files)
