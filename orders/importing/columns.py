"""The names that the columns of the data set go by in its exports."""

from orders.importing.errors import ImportRefused

# In the order of the tuple every row is brought into.
NAMES: dict[str, tuple[str, ...]] = {
    "invoice": ("InvoiceNo", "Invoice"),
    "sku": ("StockCode",),
    "description": ("Description",),
    "quantity": ("Quantity",),
    "date": ("InvoiceDate",),
    "price": ("UnitPrice", "Price"),
    "customer": ("CustomerID", "Customer ID"),
    "country": ("Country",),
}
_MEANINGS = {name.casefold(): meaning for meaning, names in NAMES.items() for name in names}


def places(header: list[str]) -> list[int]:
    """Return where each column of NAMES stands in this header; raises ImportRefused unless each is there just once."""
    meanings = [_MEANINGS.get(name.strip().casefold()) for name in header]
    unknown = [name for name, meaning in zip(header, meanings, strict=True) if meaning is None]
    missing = [" or ".join(NAMES[meaning]) for meaning in NAMES if meaning not in meanings]
    twice = [NAMES[meaning][0] for meaning in NAMES if meanings.count(meaning) > 1]
    wrong = [
        f"{what}: {', '.join(repr(name)[:60] for name in names[:8])}"
        for what, names in (("missing", missing), ("unknown", unknown), ("twice", twice))
        if names
    ]
    if wrong:
        raise ImportRefused(f"the first line does not name the columns of the data set ({'; '.join(wrong)})")
    return [meanings.index(meaning) for meaning in NAMES]
