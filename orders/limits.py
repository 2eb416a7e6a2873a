"""What one row may hold, and the refusals beyond it.

Together the limits keep every total below 2**53, up to which JSON readers take numbers for exact.
"""

from collections.abc import Iterable

from orders.errors import EmptyOrder, InvalidPrice, InvalidQuantity, InvalidStock, TooManyLines

MOST_PER_LINE = 100_000
MOST_PRICE_CENTS = 100_000_000
MOST_LINES = 500
# Well inside PostgreSQL's integer, with room for what cancelled orders bring back.
MOST_STOCK = 1_000_000_000
LONGEST_SKU = 64
LONGEST_NAME = 200
# A code is part of its product's address.
ADDRESSABLE = r"^(?!\.{1,2}$)[^/]*$"


def checked_lines(lines: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the (sku, quantity) lines; raises EmptyOrder, TooManyLines, InvalidQuantity."""
    lines = list(lines)
    if not lines:
        raise EmptyOrder
    if len(lines) > MOST_LINES:
        raise TooManyLines(len(lines), MOST_LINES)
    for sku, quantity in lines:
        if not 1 <= quantity <= MOST_PER_LINE:
            raise InvalidQuantity(sku, quantity, MOST_PER_LINE)
    return lines


def checked_price(price_cents: int) -> int:
    """Return the price; raises InvalidPrice."""
    if not 0 <= price_cents <= MOST_PRICE_CENTS:
        raise InvalidPrice(price_cents, MOST_PRICE_CENTS)
    return price_cents


def checked_stock(stock: int) -> int:
    """Return the stock; raises InvalidStock."""
    if not 0 <= stock <= MOST_STOCK:
        raise InvalidStock(stock, MOST_STOCK)
    return stock
