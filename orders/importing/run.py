"""The steps of an import, in order. Run again after an interruption, it finishes what is missing."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from orders.importing.check import check
from orders.importing.dates import DateOrder
from orders.importing.errors import ImportRefused, Reason, Rejected
from orders.importing.invoices import Invoice, invoices
from orders.importing.lines import InvoiceLine, read_line
from orders.importing.progress import progress
from orders.importing.report import Counts, Report, reporting
from orders.importing.source import Source, opened
from orders.importing.writing import write

# Lines per transaction: large enough for bulk inserts to pay, small enough for a chunk to be over within a second.
CHUNK_LINES = 5_000


def import_file(path: Path, report_path: Path, told: DateOrder, chunk_lines: int = CHUNK_LINES) -> Counts:
    """Every line of the file is in the write model or in the report; raises ImportRefused.

    A file that can't be read to its end, lacks columns or has dates that can be read both ways is refused before
    anything is written.
    """
    if report_path.exists() and path.exists() and report_path.samefile(path):
        raise ImportRefused("the report would overwrite the file")
    with progress("checking", None) as advance:
        checked = check(path, told, advance)
    counts = Counts()
    with opened(path) as source, reporting(report_path, source.header, counts) as report:
        lines = _lines(source, checked.date_order, counts, report)
        found = invoices(lines, reject=lambda line, reason: report.reject(line.row, reason))
        with progress("importing", checked.rows) as advance:
            seen = 0
            for chunk in _chunks(found, chunk_lines):
                _write(chunk, counts, report)
                advance(counts.lines_read - seen)
                seen = counts.lines_read
    return counts


def _lines(source: Source, order: DateOrder, counts: Counts, report: Report) -> Iterator[InvoiceLine]:
    for row in source.rows:
        counts.lines_read += 1
        try:
            yield read_line(row, source.places, order)
        except Rejected as error:
            report.reject(row, error.reason)


def _chunks(found: Iterable[Invoice], chunk_lines: int) -> Iterator[list[Invoice]]:
    chunk: list[Invoice] = []
    lines = 0
    for invoice in found:
        chunk.append(invoice)
        lines += len(invoice.lines)
        if lines >= chunk_lines:
            yield chunk
            chunk, lines = [], 0
    if chunk:
        yield chunk


def _write(chunk: list[Invoice], counts: Counts, report: Report) -> None:
    written = write(chunk)
    counts.orders_created += written.orders_created
    counts.orders_there += written.orders_there
    counts.users_created += written.users_created
    counts.products_created += written.products_created
    for line in written.differing:
        report.reject(line.row, Reason.DIFFERS)
