"""The products on imported orders: those there stay as they are, the others are created."""

from collections.abc import Iterable
from typing import TypeVar

from orders.importing.lines import InvoiceLine
from orders.models import Product

CURRENCY = "GBP"
# More than the data set ever sold at once (80,995), so that the imported catalogue can be ordered from.
IMPORTED_STOCK = 100_000

Value = TypeVar("Value", str, int)


def find_or_create(lines: list[InvoiceLine]) -> tuple[dict[str, int], int]:
    """Every stock code of the lines is a product; returns product ids by code, and how many are new.

    A new product has the first description and price among these lines that say something: later ones are "damaged" and
    prices of zero. Without any, its name is its code and its price zero.
    """
    skus = {line.sku for line in lines}
    there = _ids(skus)
    missing = sorted(skus - there.keys())
    if missing:
        names = _first((line.sku, line.description) for line in lines)
        prices = _first((line.sku, line.price_cents) for line in lines)
        new = (_product(sku, names.get(sku, sku), prices.get(sku, 0)) for sku in missing)
        Product.objects.bulk_create(new, ignore_conflicts=True)
        there |= _ids(missing)
    return there, len(missing)


def _ids(skus: Iterable[str]) -> dict[str, int]:
    return dict(Product.objects.filter(sku__in=list(skus)).values_list("sku", "pk"))


def _product(sku: str, name: str, price_cents: int) -> Product:
    return Product(sku=sku, name=name, price_cents=price_cents, currency=CURRENCY, stock=IMPORTED_STOCK)


def _first(pairs: Iterable[tuple[str, Value]]) -> dict[str, Value]:
    known: dict[str, Value] = {}
    for sku, value in pairs:
        if value:
            known.setdefault(sku, value)
    return known
