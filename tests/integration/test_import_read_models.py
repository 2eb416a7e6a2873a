"""Real transactions, out by queries: what the read models say of the imported file is what the CSV says."""

import json
from collections import Counter, defaultdict
from datetime import date, datetime

import pytest
from django.core.management import call_command

from orders.models import Order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from orders.readmodels.product_card import ProductCard
from orders.readmodels.sales_by_day import SalesByDay
from readmodels import testing
from readmodels.query import reader
from tests import retail
from users.models import User


@pytest.fixture
def rows(store, tmp_path):
    call_command("import_orders", str(retail.FILE), report=tmp_path / "rejected.csv")
    testing.drain(store)
    testing.assert_law(store)
    return retail.rows()


def test_read_models_say_what_the_file_says(rows):
    orders, days = defaultdict(list), defaultdict(set)
    for row in rows:
        orders[row["InvoiceNo"]].append(row)
        days[day_of(row)].add(row["InvoiceNo"])
    compare_orders(orders)
    compare_customers(rows)
    compare_days(orders, days)
    skus = {row["StockCode"] for row in rows}
    assert all(answer.body for answer in reader().documents(ProductCard, sorted(skus)))


def compare_orders(orders):
    ids = dict(Order.objects.values_list("external_ref", "id"))
    answers = reader().documents(OrderDetail, [ids[invoice] for invoice in orders])
    assert len(answers) == 512
    for (invoice, lines), answer in zip(orders.items(), answers, strict=True):
        order = json.loads(answer.body)
        assert order["total_cents"] == sum(retail.pence(line) for line in lines), invoice
        found = Counter((line["sku"], line["quantity"], line["price_cents"]) for line in order["lines"])
        assert found == Counter(
            (line["StockCode"], abs(int(line["Quantity"])), round(float(line["UnitPrice"]) * 100)) for line in lines
        )


def compare_customers(rows):
    invoices = defaultdict(set)
    for row in rows:
        if row["CustomerID"]:
            invoices[str(int(float(row["CustomerID"])))].add(row["InvoiceNo"])
    ids = dict(User.objects.values_list("external_ref", "id"))
    pages = reader().measures(CustomerOrders, [ids[customer] for customer in invoices])
    assert [page.measures[""]["orders"] for page in pages] == [len(found) for found in invoices.values()]


def compare_days(orders, days):
    pages = reader().measures(SalesByDay, sorted(days))
    for day, page in zip(sorted(days), pages, strict=True):
        lines = [line for invoice in days[day] for line in orders[invoice]]
        sold = [invoice for invoice in days[day] if is_sale(orders[invoice])]
        assert page.measures[""] == {
            "orders": len(days[day]),
            "items": sum(abs(int(line["Quantity"])) for line in lines),
            "revenue_cents": sum(retail.pence(line) for invoice in sold for line in orders[invoice]),
        }


def is_sale(lines):
    return int(lines[0]["Quantity"]) > 0


def day_of(row) -> date:
    for form in ("%Y-%m-%d %H:%M:%S", "%m/%d/%y %H:%M", "%m/%d/%Y %H:%M"):
        try:
            return datetime.strptime(row["InvoiceDate"], form).date()
        except ValueError:
            continue
    raise AssertionError(row["InvoiceDate"])
