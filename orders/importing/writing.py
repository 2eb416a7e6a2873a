"""(6) Invoices -> orders: one transaction per chunk, so an order is there whole or not at all.

What is there already is left alone: users, products with their stock, and orders, found by the retailer's numbers.
"""

from dataclasses import dataclass, field

from django.db import connection, transaction

from orders.importing import customers, products
from orders.importing.invoices import Invoice
from orders.importing.lines import InvoiceLine
from orders.models import Order, OrderLine

# Two imports at once take turns chunk by chunk: the second then finds what the first has committed.
IMPORT_LOCK = 5_364_171_701

Content = list[tuple[str, int, int]]


@dataclass
class Written:
    """What one chunk did."""

    orders_created: int = 0
    orders_there: int = 0
    users_created: int = 0
    products_created: int = 0
    differing: list[InvoiceLine] = field(default_factory=list)


@transaction.atomic
def write(chunk: list[Invoice]) -> Written:
    """Every invoice is an order; one that is there already with the same lines counts so, with other lines differs."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [IMPORT_LOCK])
    written = Written()
    new = _new(chunk, written)
    user_ids, written.users_created = customers.find_or_create(new)
    product_ids, written.products_created = products.find_or_create([line for invoice in new for line in invoice.lines])
    _insert(new, user_ids, product_ids)
    written.orders_created = len(new)
    return written


def _new(chunk: list[Invoice], written: Written) -> list[Invoice]:
    # Invoices there are compared by content: a copy of one is harmless, but lines that come back later in the file
    # under the number of an order already closed would get lost silently.
    there = _contents_there([invoice.ref for invoice in chunk])
    new = []
    for invoice in chunk:
        content = [(line.sku, line.quantity, line.price_cents) for line in invoice.lines]
        if invoice.ref not in there:
            there[invoice.ref] = content
            new.append(invoice)
        elif there[invoice.ref] == content:
            written.orders_there += 1
        else:
            written.differing += invoice.lines
    return new


def _contents_there(refs: list[str]) -> dict[str, Content]:
    orders = dict(Order.objects.filter(external_ref__in=refs).values_list("pk", "external_ref"))
    contents: dict[str, Content] = {ref: [] for ref in orders.values() if ref is not None}
    lines = OrderLine.objects.filter(order__in=orders).order_by("order", "position").select_related("product")
    for line in lines.only("order", "product__sku", "quantity", "price_cents"):
        contents[orders[line.order_id] or ""].append((line.product.sku, line.quantity, line.price_cents))
    return contents


def _insert(new: list[Invoice], user_ids: dict[str, int], product_ids: dict[str, int]) -> None:
    orders = Order.objects.bulk_create(
        Order(
            customer_id=user_ids.get(invoice.customer),
            status=invoice.status,
            total_cents=invoice.total_cents,
            currency=products.CURRENCY,
            placed_at=invoice.placed_at,
            external_ref=invoice.ref,
        )
        for invoice in new
    )
    OrderLine.objects.bulk_create(
        OrderLine(
            order_id=order.pk,
            position=position,
            product_id=product_ids[line.sku],
            quantity=line.quantity,
            price_cents=line.price_cents,
        )
        for order, invoice in zip(orders, new, strict=True)
        for position, line in enumerate(invoice.lines, start=1)
    )
