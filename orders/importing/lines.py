"""(4) A row of the file -> an invoice line, or the reason it is rejected."""

import re
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from orders.importing.dates import DateOrder, read_date
from orders.importing.errors import Reason, Rejected
from orders.importing.source import Row
from orders.limits import LONGEST_NAME, LONGEST_SKU, MOST_PER_LINE, MOST_PRICE_CENTS
from users.text import is_readable

LONGEST_INVOICE = 64
LONGEST_COUNTRY = 60
_WHOLE = re.compile(r"(-?\d{1,12})(?:\.0+)?", re.ASCII)
_AMOUNT = re.compile(r"\d{1,12}(?:\.\d{1,12})?", re.ASCII)


@dataclass(frozen=True)
class InvoiceLine:
    """One line as the retailer means it: `quantity` keeps its sign, `customer` is empty for a guest."""

    row: Row
    invoice: str
    sku: str
    description: str
    quantity: int
    placed_at: datetime
    price_cents: int
    customer: str
    country: str

    def with_quantity(self, quantity: int) -> "InvoiceLine":
        """Return the line with another quantity."""
        return replace(self, quantity=quantity)


def read_line(row: Row, places: list[int], order: DateOrder) -> InvoiceLine:
    """Return the line that this row holds, its columns standing at these places; raises Rejected."""
    if len(row.values) != len(places):
        raise Rejected(Reason.COLUMNS)
    invoice, sku, description, quantity, date, price, customer, country = (
        row.values[place].strip() for place in places
    )
    return InvoiceLine(
        row=row,
        invoice=_text(invoice, LONGEST_INVOICE, Reason.INVOICE, may_be_empty=False),
        sku=_text(sku, LONGEST_SKU, Reason.SKU, may_be_empty=False),
        description=_text(description, LONGEST_NAME, Reason.TEXT),
        quantity=_quantity(quantity),
        placed_at=read_date(date, order),
        price_cents=_price_cents(price),
        customer=_customer(customer),
        country=_text(country, LONGEST_COUNTRY, Reason.TEXT),
    )


def _text(value: str, longest: int, reason: Reason, *, may_be_empty: bool = True) -> str:
    if len(value) > longest or not is_readable(value) or not (value or may_be_empty):
        raise Rejected(reason)
    return value


def _quantity(value: str) -> int:
    match = _WHOLE.fullmatch(value)
    quantity = int(match[1]) if match else 0
    if not 1 <= abs(quantity) <= MOST_PER_LINE:
        raise Rejected(Reason.QUANTITY)
    return quantity


def _price_cents(value: str) -> int:
    # Fractions of a penny are rejected, not rounded: a total that nobody was ever asked for helps nobody.
    pence = Decimal(value) * 100 if _AMOUNT.fullmatch(value) else Decimal(-1)
    if pence != int(pence) or not 0 <= pence <= MOST_PRICE_CENTS:
        raise Rejected(Reason.PRICE)
    return int(pence)


def _customer(value: str) -> str:
    if not value:
        return ""
    # Some exports hold the number as a float, 17850.0.
    match = _WHOLE.fullmatch(value)
    if match is None or int(match[1]) < 0:
        raise Rejected(Reason.CUSTOMER)
    return str(int(match[1]))
