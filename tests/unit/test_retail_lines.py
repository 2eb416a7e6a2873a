"""Rows of the retailer's file as invoice lines, and lines as invoices."""

import pytest

from orders.importing.columns import NAMES, places
from orders.importing.dates import DateOrder
from orders.importing.errors import ImportRefused, Reason, Rejected
from orders.importing.invoices import MOST_LINES_PER_INVOICE, invoices
from orders.importing.lines import InvoiceLine, read_line
from orders.importing.source import Row
from orders.status import Status

GOOD = {
    "invoice": "536365",
    "sku": "85123A",
    "description": "WHITE HOLDER",
    "quantity": "6",
    "date": "2010-12-01 08:26:00",
    "price": "2.55",
    "customer": "17850.0",
    "country": "United Kingdom",
}


def line(**values: str) -> InvoiceLine:
    row = Row(2, list({**GOOD, **values}.values()))
    return read_line(row, list(range(len(NAMES))), DateOrder.AUTO)


def grouped(*lines: InvoiceLine) -> tuple[list[tuple[str, Status, list[int]]], list[Reason]]:
    reasons: list[Reason] = []
    found = invoices(lines, reject=lambda _, reason: reasons.append(reason))
    return [(each.ref, each.status, [kept.quantity for kept in each.lines]) for each in found], reasons


def test_line_is_read():
    read = line()
    assert (read.invoice, read.sku, read.quantity, read.price_cents, read.customer) == (
        "536365",
        "85123A",
        6,
        255,
        "17850",
    )


@pytest.mark.parametrize("customer", ["17850", "17850.0", " 17850.00 ", "017850"])
def test_customer_number_is_the_same_in_every_spelling(customer):
    assert line(customer=customer).customer == "17850"


def test_guest_has_no_customer_number():
    assert line(customer="").customer == ""


@pytest.mark.parametrize(
    ("price", "cents"), [("0", 0), ("0.0", 0), ("2.5", 250), ("2.550000", 255), ("1000000", 10**8)]
)
def test_prices_are_exact(price, cents):
    assert line(price=price).price_cents == cents


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("invoice", "", Reason.INVOICE),
        ("invoice", "5" * 65, Reason.INVOICE),
        ("sku", "", Reason.SKU),
        ("sku", "a\x00b", Reason.SKU),
        ("description", "x" * 201, Reason.TEXT),
        ("country", "x" * 61, Reason.TEXT),
        ("quantity", "0", Reason.QUANTITY),
        ("quantity", "1.5", Reason.QUANTITY),
        ("quantity", "many", Reason.QUANTITY),
        ("quantity", "9" * 5000, Reason.QUANTITY),
        ("price", "-1", Reason.PRICE),
        ("price", "0.001", Reason.PRICE),
        ("price", "NaN", Reason.PRICE),
        ("price", "1e3", Reason.PRICE),
        ("price", "1000000.01", Reason.PRICE),
        ("date", "yesterday", Reason.DATE),
        ("customer", "Ada", Reason.CUSTOMER),
        ("customer", "-1", Reason.CUSTOMER),
    ],
)
def test_lines_that_can_not_be_are_rejected_with_the_reason(column, value, reason):
    with pytest.raises(Rejected) as rejection:
        line(**{column: value})
    assert rejection.value.reason is reason


@pytest.mark.parametrize("values", [[], ["536365"], [*GOOD.values(), "more"]])
def test_line_of_another_width_is_rejected(values):
    with pytest.raises(Rejected) as rejection:
        read_line(Row(2, values), list(range(len(NAMES))), DateOrder.AUTO)
    assert rejection.value.reason is Reason.COLUMNS


def test_sale_is_delivered():
    assert grouped(line(quantity="6"), line(quantity="1")) == ([("536365", Status.DELIVERED, [6, 1])], [])


def test_cancellation_is_refunded_with_quantities_above_zero():
    assert grouped(line(invoice="C1", quantity="-6")) == ([("C1", Status.REFUNDED, [6])], [])


def test_stock_written_off_is_cancelled():
    assert grouped(line(quantity="-6", price="0")) == ([("536365", Status.CANCELLED, [6])], [])


def test_lines_against_the_sign_of_their_invoice_are_rejected():
    sale = grouped(line(quantity="6"), line(sku="D", quantity="-1"))
    cancellation = grouped(line(invoice="C1", quantity="-6"), line(invoice="C1", quantity="1"))
    assert sale == ([("536365", Status.DELIVERED, [6])], [Reason.SIGN])
    assert cancellation == ([("C1", Status.REFUNDED, [6])], [Reason.SIGN])


def test_line_of_another_customer_is_rejected():
    found, reasons = grouped(line(), line(customer="1"), line(customer=""))
    assert (found, reasons) == ([("536365", Status.DELIVERED, [6])], [Reason.OTHER_CUSTOMER] * 2)


def test_invoice_without_a_line_left_is_none():
    assert grouped(line(invoice="C1", quantity="1")) == ([], [Reason.SIGN])


def test_endless_invoice_is_cut():
    found, reasons = grouped(*[line()] * (MOST_LINES_PER_INVOICE + 2))
    assert (len(found[0][2]), reasons) == (MOST_LINES_PER_INVOICE, [Reason.TOO_MANY] * 2)


def test_columns_are_found_in_any_order_and_spelling():
    header = ["Country", "Customer ID", "Price", "InvoiceDate", "Quantity", "Description", "StockCode", "Invoice"]
    assert places(header) == [7, 6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("InvoiceNo,StockCode", "missing: 'Description', 'Quantity'"),
        ("Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country,Colour", "unknown: 'Colour'"),
        (
            "Invoice,InvoiceNo,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country",
            "twice: 'InvoiceNo'",
        ),
    ],
)
def test_other_columns_are_named(header, words):
    with pytest.raises(ImportRefused, match=words):
        places(header.split(","))
