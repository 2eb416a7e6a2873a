"""`manage.py import_orders` on generated files: in by the command, out by the write model and the report."""

import csv
import gzip
from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from orders.commands import reprice_product, restock_product
from orders.importing import run
from orders.models import Order, OrderLine, Product
from tests.threads import at_once
from users.models import User

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
LATE = "2010-12-31 08:26:00"

pytestmark = pytest.mark.django_db


def row(
    invoice="1", sku="A", description="Apple", quantity=1, date=LATE, price="2.55", customer="17850.0", country="EIRE"
):
    return f"{invoice},{sku},{description},{quantity},{date},{price},{customer},{country}"


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "rejected.csv"


@pytest.fixture
def import_rows(tmp_path, report):
    """Write the rows to a file and import it; returns what the command prints."""

    def do(*rows: str, header: str = HEADER, encoding: str = "utf-8", **options: object) -> str:
        path = tmp_path / "retail.csv"
        path.write_text("\n".join([header, *rows, ""]), encoding=encoding)
        return import_file(path, report, **options)

    return do


def import_file(path: Path, report: Path, **options: object) -> str:
    out = StringIO()
    call_command("import_orders", str(path), report=report, stdout=out, **options)
    return out.getvalue()


def refusal(do, *arguments: object, **options: object) -> str:
    """Return the one line with which the command refuses, exit code 2, having written nothing."""
    with pytest.raises(CommandError) as error:
        do(*arguments, **options)
    assert error.value.returncode == 2
    assert not Order.objects.exists()
    assert not User.objects.exists()
    assert not Product.objects.exists()
    (line,) = str(error.value).splitlines()
    return line


def rejected(report: Path) -> list[tuple[str, str]]:
    """Return line number and reason of each rejected line."""
    with report.open(newline="") as file:
        return [(line["line_number"], line["reason"]) for line in csv.DictReader(file)]


def written() -> list[tuple[object, ...]]:
    """Return everything an import writes, but for keys and times of its own."""
    return sorted(
        OrderLine.objects.values_list(
            "order__external_ref",
            "order__status",
            "order__total_cents",
            "order__placed_at",
            "order__customer__email",
            "position",
            "product__sku",
            "quantity",
            "price_cents",
        )
    )


def interrupt(chunk: object) -> None:
    raise KeyboardInterrupt


def test_order_with_its_customer_and_products_arrives(import_rows, report):
    import_rows(row(quantity=2), row(sku="POST", description="", price="18.0"))
    order = Order.objects.get(external_ref="1")
    customer = User.objects.get()
    assert (order.status, order.total_cents, str(order.placed_at)) == ("delivered", 2310, "2010-12-31 08:26:00+00:00")
    assert order.customer == customer
    assert (customer.email, customer.name, customer.country) == (
        "customer-17850@import.invalid",
        "Customer 17850",
        "EIRE",
    )
    assert not customer.has_usable_password()
    assert list(order.lines.values_list("product__sku", "product__name")) == [("A", "Apple"), ("POST", "POST")]
    assert not report.exists()


def test_guest_order_has_no_customer(import_rows):
    import_rows(row(customer=""))
    assert Order.objects.get().customer is None


def test_code_repeated_on_an_invoice_stays_two_lines(import_rows):
    import_rows(row(quantity=1), row(quantity=2))
    assert list(OrderLine.objects.order_by("position").values_list("quantity", flat=True)) == [1, 2]


def test_product_takes_the_first_name_and_price_that_say_something(import_rows):
    import_rows(row(description="", price="0"), row(), row(description="damaged", price="9"))
    assert list(Product.objects.values_list("name", "price_cents")) == [("Apple", 255)]


def test_import_leaves_products_there_alone(import_rows):
    import_rows(row())
    reprice_product(sku="A", price_cents=1)
    before = restock_product(sku="A", quantity=-10)
    import_rows(row(invoice="2", description="Pear"))
    product = Product.objects.get()
    assert (product.name, product.price_cents, product.stock, product.version) == (
        "Apple",
        1,
        before.stock,
        before.version,
    )


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country", [row(customer="17850")]),
        (HEADER, [row(date="12/31/10 8:26")]),
        (HEADER, [row(date="31-12-2010 08:26")]),
        ("\ufeff" + HEADER, [row(customer="17850")]),
    ],
)
def test_every_export_of_the_data_set_gives_the_same(import_rows, header, rows):
    import_rows(*rows, header=header)
    (line,) = written()
    assert line[:5] == ("1", "delivered", 255, Order.objects.get().placed_at, "customer-17850@import.invalid")
    assert str(line[3]) == "2010-12-31 08:26:00+00:00"


def test_gzip_file_and_windows_line_ends_are_read(tmp_path, report):
    path = tmp_path / "retail.csv.gz"
    path.write_bytes(gzip.compress("\r\n".join([HEADER, row(), ""]).encode()))
    import_file(path, report)
    assert Order.objects.count() == 1


def test_date_order_told_decides(import_rows):
    import_rows(row(date="12/1/10 8:26"), date_order="day-first")
    assert str(Order.objects.get().placed_at) == "2010-01-12 08:26:00+00:00"


def test_dates_that_can_be_read_both_ways_are_refused(import_rows):
    assert "--date-order" in refusal(import_rows, row(date="12/1/10 8:26"))


def test_each_rejected_line_is_reported_with_number_and_reason(import_rows, report):
    out = import_rows(row(), row(quantity="many"), row(sku="D", quantity=-1), "short", row(invoice="2", price="-1"))
    assert rejected(report) == [
        ("3", "quantity is not a whole number other than zero, or too large"),
        ("5", "not as many columns as the header"),
        ("6", "price is not an amount of whole pence from zero, or too large"),
        ("4", "quantity of the opposite sign to its invoice"),
    ]
    assert Order.objects.get().total_cents == 255
    assert "lines rejected" in out


def test_lines_that_come_back_later_are_reported_not_lost(import_rows, report):
    rows = [row("1"), row("2"), row("1", sku="B"), row("3")]
    for chunk in (1, 100):
        import_rows(*rows, chunk=chunk)
        assert rejected(report) == [("4", "invoice is already there with other lines")]
    assert list(Order.objects.order_by("external_ref").values_list("external_ref", flat=True)) == ["1", "2", "3"]
    assert OrderLine.objects.count() == 3


def test_copy_of_an_invoice_is_there_already(import_rows, report):
    out = import_rows(row("1"), row("2"), row("1"))
    assert Order.objects.count() == 2
    assert not report.exists()
    assert "1" in next(line for line in out.splitlines() if "there already" in line)


def test_second_run_changes_nothing(import_rows):
    rows = [row("1", quantity=2), row("1", sku="B"), row("C2", quantity=-1)]
    import_rows(*rows)
    before = written(), list(Order.objects.values()), list(User.objects.values()), list(Product.objects.values())
    import_rows(*rows)
    assert before == (
        written(),
        list(Order.objects.values()),
        list(User.objects.values()),
        list(Product.objects.values()),
    )


def test_interrupted_import_run_again_finishes(import_rows, monkeypatch):
    rows = [row(str(invoice), sku=sku, customer=invoice % 3) for invoice in range(20) for sku in "ABC"]
    chunks = iter([run.write] * 3)
    with monkeypatch.context() as patch:
        # The fourth chunk finds no more: the moment of Ctrl+C.
        patch.setattr(run, "write", lambda chunk: next(chunks, interrupt)(chunk))
        with pytest.raises(CommandError) as error:
            import_rows(*rows, chunk=7)
    assert (error.value.returncode, Order.objects.count()) == (130, 9)
    import_rows(*rows, chunk=4)
    assert Order.objects.count() == 20
    assert OrderLine.objects.count() == 60


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_double_nothing(tmp_path, report):
    rows = [row(str(invoice), sku=sku, customer=invoice % 7) for invoice in range(60) for sku in "ABC"]
    path = tmp_path / "retail.csv"
    path.write_text("\n".join([HEADER, *rows, ""]))
    both = partial(import_file, path, report, chunk=6)
    outcomes = at_once(both, both)
    assert all(isinstance(outcome, str) for outcome in outcomes), outcomes
    assert (Order.objects.count(), OrderLine.objects.count(), User.objects.count()) == (60, 180, 7)


def test_customer_whose_email_somebody_took_is_refused(import_rows):
    User.objects.create_user("customer-17850@import.invalid", name="Mallory")
    with pytest.raises(CommandError, match=r"customer-17850@import\.invalid"):
        import_rows(row())
    assert not Order.objects.exists()


def test_file_without_rows_imports_nothing(import_rows):
    import_rows()
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "UTF-8"),
        (b"\x1f\x8b not gzip at all", "gzip"),
        (b"just some text\nand more\n", "missing"),
        (f'{HEADER}\n{row()}\n1,"never closed\n'.encode(), "CSV"),
        (f"{HEADER}\n{row(description='café')}\n".encode("latin-1"), "UTF-8"),
        (HEADER.replace("Quantity,", "").encode(), "Quantity"),
        (f"{HEADER},Colour\n".encode(), "Colour"),
        (gzip.compress(f"{HEADER}\n{row()}\n".encode() * 1000)[:-20], "cut off"),
        (HEADER.encode("utf-16"), "UTF-8"),
        (f"{HEADER}\n{'x' * 200_000}\n".encode(), "CSV"),
    ],
)
def test_file_that_can_not_be_read_is_refused_before_anything_is_written(tmp_path, report, content, words):
    path = tmp_path / "retail.csv"
    path.write_bytes(content)
    assert words in refusal(import_file, path, report)


def test_missing_file_folder_and_report_are_refused(tmp_path, report):
    path = tmp_path / "retail.csv"
    assert "No such file" in refusal(import_file, path, report)
    assert "not a regular file" in refusal(import_file, tmp_path, report)
    path.write_text(f"{HEADER}\n{row()}\n")
    assert "can't be written" in refusal(import_file, path, tmp_path / "nowhere" / "rejected.csv")
    assert "overwrite" in refusal(import_file, path, path)
