"""(5) Lines -> invoices, each of which becomes one order.

| the invoice | status | quantities |
|---|---|---|
| its number begins with C: a cancellation after payment | refunded | their absolute values |
| every quantity negative: stock written off, nothing was sold | cancelled | their absolute values |
| any other: a sale | delivered | as they stand |

A line whose sign is not that of its invoice is rejected, and so is one of another customer than the invoice's first
line: an order belongs to one. The order is placed at the time of its first line.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from orders.importing.errors import Reason
from orders.importing.lines import InvoiceLine
from orders.status import Status

# Ten times the longest invoice of the data set; what keeps a broken file from filling the memory.
MOST_LINES_PER_INVOICE = 10_000

Reject = Callable[[InvoiceLine, Reason], None]


@dataclass(frozen=True)
class Invoice:
    """What becomes one order; its lines are all of one customer, their quantities above zero."""

    ref: str
    status: Status
    lines: list[InvoiceLine]

    @property
    def customer(self) -> str:
        """The retailer's number of the customer; empty for a guest."""
        return self.lines[0].customer

    @property
    def placed_at(self) -> datetime:
        """The time of the first line."""
        return self.lines[0].placed_at

    @property
    def total_cents(self) -> int:
        """What the lines add up to."""
        return sum(line.quantity * line.price_cents for line in self.lines)


def invoices(lines: Iterable[InvoiceLine], reject: Reject) -> Iterator[Invoice]:
    """Bring the lines that follow each other under one number together; an invoice left without a line is none."""
    for ref, group in groupby(lines, key=lambda line: line.invoice):
        kept: list[InvoiceLine] = []
        for line in group:
            if len(kept) < MOST_LINES_PER_INVOICE:
                kept.append(line)
            else:
                reject(line, Reason.TOO_MANY)
        invoice = _settled(ref, kept, reject)
        if invoice.lines:
            yield invoice


def _settled(ref: str, lines: list[InvoiceLine], reject: Reject) -> Invoice:
    status, sign = _kind(ref, lines)
    kept: list[InvoiceLine] = []
    for line in lines:
        quantity = line.quantity * sign
        if quantity < 0:
            reject(line, Reason.SIGN)
        elif kept and line.customer != kept[0].customer:
            reject(line, Reason.OTHER_CUSTOMER)
        else:
            kept.append(line.with_quantity(quantity))
    return Invoice(ref, status, kept)


def _kind(ref: str, lines: list[InvoiceLine]) -> tuple[Status, int]:
    if ref.upper().startswith("C"):
        return Status.REFUNDED, -1
    if all(line.quantity < 0 for line in lines):
        return Status.CANCELLED, -1
    return Status.DELIVERED, 1
