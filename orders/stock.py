"""What is on the shelf: taken and given back under row locks.

Locks are taken in key order, whatever the order of the lines: two orders over the same products wait for each other
and can't deadlock. What was read before the lock decides nothing.
"""

from collections import Counter
from collections.abc import Iterable

from django.db.models import QuerySet

from orders.errors import NotEnoughStock, UnknownProducts
from orders.models import Order, Product
from users.text import is_readable


def take(lines: Iterable[tuple[str, int]]) -> dict[str, Product]:
    """The (sku, quantity) lines are off the shelf; returns the products by sku.

    Raises UnknownProducts, NotEnoughStock.
    """
    wanted: Counter[str] = Counter()
    for sku, quantity in lines:
        wanted[sku] += quantity
    products = {
        product.sku: product for product in _locked(Product.objects.filter(sku__in=filter(is_readable, wanted)))
    }
    if missing := wanted.keys() - products.keys():
        raise UnknownProducts(missing)
    for sku, quantity in wanted.items():
        product = products[sku]
        if product.stock < quantity:
            raise NotEnoughStock(sku, wanted=quantity, available=product.stock)
        product.stock -= quantity
    _save(products.values())
    return products


def give_back(order: Order) -> None:
    """What the order took is on the shelf again."""
    taken: Counter[int] = Counter()
    for product_id, quantity in order.lines.values_list("product_id", "quantity"):
        taken[product_id] += quantity
    products = list(_locked(Product.objects.filter(pk__in=taken)))
    for product in products:
        product.stock += taken[product.pk]
    _save(products)


def _locked(products: QuerySet[Product]) -> QuerySet[Product]:
    # NO KEY: lines being inserted hold the product's key through their foreign key and need not wait.
    return products.select_for_update(no_key=True).order_by("pk")


def _save(products: Iterable[Product]) -> None:
    products = list(products)
    for product in products:
        product.version += 1
    Product.objects.bulk_update(products, ["stock", "version"])
