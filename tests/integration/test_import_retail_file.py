"""The shared file of real transactions: all 512 invoices arrive, and their totals are those of the CSV."""

from collections import defaultdict
from decimal import Decimal

import pytest
from django.core.management import call_command

from orders.models import Order, OrderLine, Product
from tests import retail
from users.models import User

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return retail.rows()


@pytest.fixture
def imported(tmp_path):
    call_command("import_orders", str(retail.FILE), report=tmp_path / "rejected.csv", chunk=1000)
    assert not (tmp_path / "rejected.csv").exists()


def test_every_invoice_of_the_file_arrives_with_its_total(rows, imported):
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        totals[row["InvoiceNo"]] += abs(int(row["Quantity"])) * Decimal(row["UnitPrice"])
    assert len(totals) == 512
    found = Order.objects.values_list("external_ref", "total_cents")
    assert dict(found) == {invoice: int(total * 100) for invoice, total in totals.items()}


def test_every_line_customer_and_stock_code_arrives(rows, imported):
    customers = {row["CustomerID"] for row in rows if row["CustomerID"]}
    assert OrderLine.objects.count() == len(rows) == 10_000
    assert set(User.objects.values_list("external_ref", flat=True)) == {str(int(float(ref))) for ref in customers}
    assert set(Product.objects.values_list("sku", flat=True)) == {row["StockCode"] for row in rows}


def test_guests_of_the_file_stay_guests(rows, imported):
    guests = {row["InvoiceNo"] for row in rows if not row["CustomerID"]}
    assert set(Order.objects.filter(customer=None).values_list("external_ref", flat=True)) == guests


def test_cancellations_and_write_offs_are_told_apart(rows, imported):
    cancellations = {row["InvoiceNo"] for row in rows if row["InvoiceNo"].startswith("C")}
    write_offs = {row["InvoiceNo"] for row in rows if int(row["Quantity"]) < 0} - cancellations
    assert set(Order.objects.filter(status="refunded").values_list("external_ref", flat=True)) == cancellations
    assert set(Order.objects.filter(status="cancelled").values_list("external_ref", flat=True)) == write_offs
    assert (len(cancellations), len(write_offs)) == (43, 30)
