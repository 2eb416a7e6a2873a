"""(3) The rest of a job's payload -> what each order shall be, in the form that POST /api/orders takes.

A line of NDJSON is an order. Of a CSV, the lines that follow each other under one external_ref are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from orders.batch.csv_rows import read_row
from orders.batch.errors import Rejected
from orders.batch.models import ImportJob, PayloadFormat
from orders.batch.receiving import is_blank
from orders.limits import MOST_LINES
from users import strict_json

_WHOLE = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True)
class Line:
    """A line of the payload: its number from 1, its text, and how many bytes end with it."""

    number: int
    text: bytes
    ends_at: int


@dataclass(frozen=True)
class Found:
    """One order: what it shall be, or why it can't be told; the number of the line that each of its lines stands on."""

    wanted: Any
    lines: list[int]
    last: Line


def orders(job: ImportJob) -> Iterator[Found]:
    """The orders that come next; a part of the payload is in memory at a time."""
    lines = (line for line in _lines(job) if not is_blank(line.text))
    return _of_csv(lines, job.columns) if job.format == PayloadFormat.CSV else _of_ndjson(lines)


def _lines(job: ImportJob) -> Iterator[Line]:
    position, number = job.position, job.lines_read
    while part := job.parts.filter(ends_at__gt=position).order_by("ends_at").first():
        data = bytes(part.data)
        for text in BytesIO(data[position - part.ends_at :]):
            position += len(text)
            number += 1
            yield Line(number, text, position)


def _of_ndjson(lines: Iterator[Line]) -> Iterator[Found]:
    for line in lines:
        wanted: Any
        try:
            wanted = strict_json.read(line.text)
        except strict_json.NotStrictJson as error:
            wanted = Rejected(line.number, "parse_error", str(error))
        yield Found(wanted, [line.number], line)


def _of_csv(lines: Iterator[Line], columns: list[str]) -> Iterator[Found]:
    rows: list[dict[str, str]] = []
    numbers: list[int] = []
    last: Line | None = None
    for line in lines:
        if line.number == 1:  # the header
            continue
        fields = (field.strip() for field in read_row(line.text.decode()))
        row = dict(zip(columns, fields, strict=True))
        if last and row["external_ref"] != rows[0]["external_ref"]:
            yield Found(_order(rows, numbers), numbers, last)
            rows, numbers = [], []
        if len(rows) <= MOST_LINES:  # one more than allowed, which gets it rejected; the rest is not kept
            rows.append(row)
            numbers.append(line.number)
        last = line
    if last:
        yield Found(_order(rows, numbers), numbers, last)


def _order(rows: list[dict[str, str]], numbers: list[int]) -> Any:
    """The order that these rows are, or why they are none."""
    first = rows[0]
    for row, number in zip(rows, numbers, strict=True):
        for name in ("customer_id", "placed_at"):
            if row.get(name) != first.get(name):
                detail = f"{name} is not that of line {numbers[0]}, which has the same external_ref."
                return Rejected(number, "differing_lines", detail)
    whose = {"customer_id": _number(first["customer_id"])} if first["customer_id"] else {"is_guest": True}
    when = {"placed_at": first["placed_at"]} if first.get("placed_at") else {}
    lines = [{"sku": row["sku"], "quantity": _number(row["quantity"])} for row in rows]
    return {"external_ref": first["external_ref"], **whose, **when, "lines": lines}


def _number(text: str) -> int | str:
    """A whole number; other text as it is, to be rejected like other wrong input."""
    return int(text) if _WHOLE.fullmatch(text) else text
