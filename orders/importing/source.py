"""(1) The file's rows, streamed; whatever keeps it from being read ends in one line that says so."""

import csv
import gzip
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from orders.importing.columns import places
from orders.importing.errors import ImportRefused

if TYPE_CHECKING:
    from _csv import Reader

GZIP_MAGIC = b"\x1f\x8b"


class Row(NamedTuple):
    """One row as it stands in the file: where its text begins (lines count from 1), and its columns in file order."""

    number: int
    values: list[str]


class Source(NamedTuple):
    """An open file: its header, where each column of `columns.NAMES` stands in it, and the rows below."""

    header: list[str]
    places: list[int]
    rows: Iterator[Row]


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open the file for one pass; raises ImportRefused here or while its rows are read."""
    with _failures_in_one_line(path), _binary(path) as binary:
        # Exports from Excel begin with a byte-order mark, which utf-8-sig drops.
        lines = csv.reader(TextIOWrapper(binary, encoding="utf-8-sig", newline=""), strict=True)
        header = next(lines, None)
        if header is None:
            raise ImportRefused("it is empty")
        yield Source(header, places(header), _rows(lines))


def _rows(lines: "Reader") -> Iterator[Row]:
    number = lines.line_num + 1
    for values in lines:
        if values:  # an empty line is no row
            yield Row(number, values)
        number = lines.line_num + 1


def _binary(path: Path) -> BinaryIO:
    # The file is read twice, which a pipe can't be.
    if not stat.S_ISREG(path.stat().st_mode):
        raise ImportRefused("it is not a regular file")
    with path.open("rb") as file:
        is_gzip = file.read(2) == GZIP_MAGIC
    return cast(BinaryIO, gzip.open(path, "rb")) if is_gzip else path.open("rb")


@contextmanager
def _failures_in_one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise ImportRefused(
            f"{path}: it is not UTF-8 text (a byte {error.object[error.start]:#04x}); save it as UTF-8"
        ) from error
    except EOFError as error:
        raise ImportRefused(f"{path}: the gzip file is cut off") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ImportRefused(f"{path}: the gzip file is damaged ({error})") from error
    except csv.Error as error:
        raise ImportRefused(f"{path}: it is not CSV ({error})") from error
    except OSError as error:
        raise ImportRefused(f"{path}: {error.strerror or error}") from error
    except ImportRefused as error:
        raise ImportRefused(f"{path}: {error}") from error
