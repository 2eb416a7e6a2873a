"""(1) The body of an import -> a file, block by block: flat memory however long it is, and no transaction meanwhile.

A slow client would else keep a transaction open, and with it every token and every dead row of the outbox. The file has
no name: whatever ends the process, nothing is left of it. What no single order is to blame for refuses the whole body,
before anything is written: not UTF-8, no CSV, columns that are missing or unknown, too many bytes or lines.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

from django.conf import settings
from django.http import HttpRequest, UnreadablePostError

from orders.batch.csv_rows import columns, read_row
from orders.batch.errors import LengthRequired, MalformedPayload, NoRoom, PayloadTooLarge
from orders.batch.models import PayloadFormat

if TYPE_CHECKING:
    from hashlib import _Hash

BLOCK_BYTES = 65_536
# What one order over HTTP may have too.
LONGEST_LINE = 2**20
BYTE_ORDER_MARK = "\ufeff"


@dataclass
class Received:
    """A payload in a file, its structure checked; `columns` are those of a CSV."""

    file: IO[bytes]
    format: PayloadFormat
    bytes: int = 0
    lines: int = 0
    columns: list[str] = field(default_factory=list)
    hash: "_Hash" = field(default_factory=sha256)

    @property
    def digest(self) -> str:
        """What the same payload of the same format has too, and no other."""
        return f"{self.format}:{self.hash.hexdigest()}"


@contextmanager
def received(request: HttpRequest, format: PayloadFormat) -> Iterator[Received]:
    """The request's whole body, until the block ends.

    Raises LengthRequired, PayloadTooLarge, MalformedPayload, NoRoom.
    """
    length = _length(request)
    try:
        with TemporaryFile() as file:
            payload = Received(file, format)
            check = _check_csv if format is PayloadFormat.CSV else _check_text
            _take(_lines(_blocks(request, length)), payload, check)
            if payload.bytes < length:
                raise MalformedPayload(f"The body ended after {payload.bytes} of {length} bytes.")
            file.seek(0)
            yield payload
    except OSError as error:  # closing the file writes too
        raise NoRoom from error


def is_blank(line: bytes) -> bool:
    """Whether the line is to be passed over."""
    return not line.strip()


def _length(request: HttpRequest) -> int:
    text = request.META.get("CONTENT_LENGTH") or ""
    if not (text.isascii() and text.isdecimal()):
        raise LengthRequired
    if int(text) > settings.IMPORT_MAX_BYTES:
        raise PayloadTooLarge(f"The body has {text} bytes; {settings.IMPORT_MAX_BYTES} are accepted.")
    return int(text)


def _blocks(request: HttpRequest, length: int) -> Iterator[bytes]:
    """What comes, until the end or the loss of the connection, which servers report alike."""
    try:
        while block := request.read(min(BLOCK_BYTES, length)):
            yield block
    except UnreadablePostError:
        return


def _lines(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield line + b"\n"
        if len(rest) > LONGEST_LINE:
            break  # the caller refuses it
    if rest:
        yield rest


def _take(lines: Iterable[bytes], payload: Received, check: Callable[[str, Received], None]) -> None:
    """All lines are in the file, each checked and counted."""
    has_order = False
    for line in lines:
        payload.bytes += len(line)
        payload.lines += 1
        if payload.lines > settings.IMPORT_MAX_LINES:
            raise PayloadTooLarge(f"The body has more than {settings.IMPORT_MAX_LINES} lines.")
        if len(line) > LONGEST_LINE:
            raise PayloadTooLarge(f"Line {payload.lines} has more than {LONGEST_LINE} bytes.")
        is_header = payload.lines == 1 and payload.format is PayloadFormat.CSV
        text = _decoded(line, payload.lines)
        if is_header or not is_blank(line):
            check(text, payload)
            has_order = has_order or not is_header
        payload.file.write(line)
        payload.hash.update(line)
    if not has_order:
        raise MalformedPayload("The body holds no order.")


def _decoded(line: bytes, number: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise MalformedPayload(f"Line {number} is not UTF-8 text.") from error


def _check_text(text: str, payload: Received) -> None:
    """Each line of JSON stands for itself: one that is none is rejected later, and stops no other."""


def _check_csv(text: str, payload: Received) -> None:
    """Raises MalformedPayload: with a line that can't be read, nobody knows which order lacks it."""
    if payload.lines == 1:
        text = text.removeprefix(BYTE_ORDER_MARK)  # exports from Excel begin with it
    try:
        row = read_row(text)
    except csv.Error as error:
        raise MalformedPayload(f"Line {payload.lines} is not CSV ({error}).") from error
    if payload.lines == 1:
        payload.columns = columns(row)
    elif len(row) != len(payload.columns):
        found = f"{len(row)} columns, the first line has {len(payload.columns)}"
        raise MalformedPayload(f"Line {payload.lines} has {found}.")
