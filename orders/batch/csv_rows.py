"""The CSV of an import: a line of it, and the columns that it has."""

import csv

from orders.batch.errors import MalformedPayload

REQUIRED = ("external_ref", "customer_id", "sku", "quantity")
OPTIONAL = ("placed_at",)


def read_row(text: str) -> list[str]:
    """The fields of one line of CSV; raises csv.Error, also for a line break in quotes."""
    return next(csv.reader([text.rstrip("\r\n")], strict=True), [])


def columns(header: list[str]) -> list[str]:
    """The columns that the first line names, in its order; raises MalformedPayload."""
    names = [name.strip() for name in header]
    wrong = [f"missing: {name}" for name in REQUIRED if name not in names]
    wrong += [f"unknown: {name[:60]!r}" for name in names if name not in REQUIRED + OPTIONAL][:8]
    wrong += [f"twice: {name}" for name in REQUIRED + OPTIONAL if names.count(name) > 1]
    if wrong:
        accepted = f"{', '.join(REQUIRED)} and, if you like, {', '.join(OPTIONAL)}"
        raise MalformedPayload(f"The first line has to name the columns {accepted} ({'; '.join(wrong)}).")
    return names
