"""Why a file, or a line of it, is not imported."""

from enum import StrEnum


class ImportRefused(Exception):
    """The file can't be imported; the message is one line that says why and what to do. Nothing of it was written."""


class Reason(StrEnum):
    """Why one line is rejected; the text is what the report says."""

    COLUMNS = "not as many columns as the header"
    INVOICE = "no usable invoice number"
    SKU = "no usable stock code"
    QUANTITY = "quantity is not a whole number other than zero, or too large"
    PRICE = "price is not an amount of whole pence from zero, or too large"
    DATE = "date can't be read"
    CUSTOMER = "customer number can't be read"
    TEXT = "text too long or not readable"
    SIGN = "quantity of the opposite sign to its invoice"
    OTHER_CUSTOMER = "another customer than the first line of its invoice"
    TOO_MANY = "more lines than one invoice may have"
    DIFFERS = "invoice is already there with other lines"


class Rejected(Exception):
    """One line is not imported, for this reason; the lines around it are."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason
