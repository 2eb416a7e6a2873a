"""A product as the shop shows it."""

from django.db.models import F

from orders.models import Product
from readmodels.declare import Document


class ProductCard(Document):
    """One product with its stock, found by its sku."""

    root = Product
    key = F("sku")
    body = {
        "sku": F("sku"),
        "name": F("name"),
        "price_cents": F("price_cents"),
        "currency": F("currency"),
        "stock": F("stock"),
        "version": F("version"),
    }
