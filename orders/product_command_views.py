"""(0) POST and PATCH on products, by the catalogue's staff: parse, call a command, answer with a consistency token."""

from django.urls import reverse
from rest_framework.request import Request
from rest_framework.response import Response

from orders import commands
from orders.serializers import ChangeProductInput, CreateProductInput, ProductState, RestockInput
from users.authentication import principal_of
from users.command_http import CommandView, IfMatch, expected_version, one_command, parsed
from users.command_openapi import documented
from users.permissions import require_catalogue


class CreateProduct(CommandView):
    """Adding to the catalogue, by the catalogue's staff."""

    @documented("create_product", CreateProductInput, ProductState, status=201)
    def post(self, request: Request) -> Response:
        """The product can be ordered."""
        require_catalogue(principal_of(request))
        wanted = parsed(CreateProductInput, request)
        with one_command(request) as done:
            product = commands.create_product(**wanted)
            return done.answer(ProductState(product).data, 201, reverse("product", args=[product.sku]))


class ProductCommands(CommandView):
    """Changing a product, by the catalogue's staff."""

    if_match = IfMatch.REQUIRED

    @documented("change_product", ChangeProductInput, ProductState, if_match=if_match)
    def patch(self, request: Request, sku: str) -> Response:
        """The product has this name and price; orders there are keep theirs."""
        require_catalogue(principal_of(request))
        wanted, version = parsed(ChangeProductInput, request), expected_version(request, self.if_match)
        with one_command(request) as done:
            # The first of the two locks the row, so the version that it was held against stands for both.
            if "name" in wanted:
                product = commands.rename_product(sku=sku, name=wanted["name"], expected_version=version)
                version = None
            if "price_cents" in wanted:
                price_cents = wanted["price_cents"]
                product = commands.reprice_product(sku=sku, price_cents=price_cents, expected_version=version)
            return done.answer(ProductState(product).data)


class RestockProduct(CommandView):
    """Counting goods in or out, by the catalogue's staff."""

    @documented("restock_product", RestockInput, ProductState)
    def post(self, request: Request, sku: str) -> Response:
        """So many more are on the shelf."""
        require_catalogue(principal_of(request))
        wanted, version = parsed(RestockInput, request), expected_version(request)
        with one_command(request) as done:
            product = commands.restock_product(sku=sku, quantity=wanted["quantity"], expected_version=version)
            return done.answer(ProductState(product).data)
