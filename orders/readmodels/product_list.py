"""The catalogue as a list."""

from django.db.models import F, Value

from orders.models import Product
from readmodels.declare import Collection, Count


class ProductList(Collection):
    """All products by their sku."""

    root = Product
    # One partition lives on one server and changes in one step at a time. Products are few and change seldom, but for
    # their stock, which changes with every order: so it stands on the product's own page only.
    partition_by = Value("all")
    # Not by name: a product that is renamed would move while somebody turns the pages.
    order_by = F("sku")
    body = {
        "sku": F("sku"),
        "name": F("name"),
        "price_cents": F("price_cents"),
        "currency": F("currency"),
    }
    measures = {"products": Count()}
