"""How documents are written one per line: NDJSON as stored, CSV (RFC 4180) of declared columns.

A spreadsheet takes text that begins with =, +, -, @, a tab or a line's end for a formula, and may run it: such a cell
begins with an apostrophe here. Numbers are written as they are.
"""

import csv
import json
from collections.abc import Iterable, Mapping
from io import StringIO
from typing import Any

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def ndjson(bodies: Iterable[bytes]) -> bytes:
    """One document per line, as stored: JSON that PostgreSQL writes has no line ends."""
    return b"".join(body + b"\n" for body in bodies)


def csv_header(columns: Mapping[str, str]) -> bytes:
    """The line of names."""
    return _rows([list(columns)])


def csv_rows(bodies: Iterable[bytes], columns: Mapping[str, str]) -> bytes:
    """One line per document; columns by the dotted path of their entry."""
    documents = map(json.loads, bodies)
    return _rows([_cell(_entry(document, path)) for path in columns.values()] for document in documents)


def _rows(rows: Iterable[list[Any]]) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _entry(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = None if document is None else document[name]
    return document


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
