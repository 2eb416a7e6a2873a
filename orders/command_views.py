"""(0) POST and PATCH on orders: parse, call a command, answer with a consistency token."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.urls import reverse
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from orders import commands
from orders.errors import OrderNotFound
from orders.models import Order
from orders.permissions import is_own_or_support
from orders.serializers import OrderState, PlaceOrderInput
from users.authentication import Principal, principal_of
from users.command_http import CommandView, expected_version, one_command, parsed
from users.command_openapi import documented
from users.permissions import require_support
from users.serializers import NoInput


class PlaceOrder(CommandView):
    """Placing an order: one's own; support also for a customer or a guest."""

    @documented("place_order", PlaceOrderInput, OrderState, status=201)
    def post(self, request: Request) -> Response:
        """The order stands, and its goods are off the shelf."""
        wanted = parsed(PlaceOrderInput, request)
        customer_id = _customer(principal_of(request), wanted)
        lines = [(line["sku"], line["quantity"]) for line in wanted["lines"]]
        with one_command(request) as done:
            order = commands.place_order(customer_id=customer_id, lines=lines)
            return done.answer(OrderState(order).data, 201, reverse("order", args=[order.pk]), about=customer_id)


class MoveOrder(CommandView):
    """Moving an order on, as its status allows."""

    command: ClassVar[Callable[..., Order]]
    is_for_support: ClassVar[bool] = True

    def move(self, request: Request, order_id: int) -> Response:
        """The order has been moved by the view's command."""
        if self.is_for_support:
            require_support(principal_of(request))
        parsed(NoInput, request)
        version = expected_version(request)
        with one_command(request) as done:
            _require_own(principal_of(request), order_id)
            order = type(self).command(order_id=order_id, expected_version=version)
            return done.answer(OrderState(order).data, about=order.customer_id)


class PayOrder(MoveOrder):
    """Paying, by the customer or support."""

    command = staticmethod(commands.pay_order)
    is_for_support = False

    @documented("pay_order", NoInput, OrderState)
    def post(self, request: Request, order_id: int) -> Response:
        """The order is paid."""
        return self.move(request, order_id)


class CancelOrder(MoveOrder):
    """Cancelling, by the customer or support."""

    command = staticmethod(commands.cancel_order)
    is_for_support = False

    @documented("cancel_order", NoInput, OrderState)
    def post(self, request: Request, order_id: int) -> Response:
        """The unpaid order is off, its goods are on the shelf again."""
        return self.move(request, order_id)


class ShipOrder(MoveOrder):
    """Shipping, by support."""

    command = staticmethod(commands.ship_order)

    @documented("ship_order", NoInput, OrderState)
    def post(self, request: Request, order_id: int) -> Response:
        """The order is on its way."""
        return self.move(request, order_id)


class DeliverOrder(MoveOrder):
    """Delivering, by support."""

    command = staticmethod(commands.deliver_order)

    @documented("deliver_order", NoInput, OrderState)
    def post(self, request: Request, order_id: int) -> Response:
        """The order has arrived."""
        return self.move(request, order_id)


class RefundOrder(MoveOrder):
    """Refunding, by support."""

    command = staticmethod(commands.refund_order)

    @documented("refund_order", NoInput, OrderState)
    def post(self, request: Request, order_id: int) -> Response:
        """The customer has the money back; goods that never left are on the shelf again."""
        return self.move(request, order_id)


def _customer(principal: Principal, wanted: dict[str, Any]) -> int | None:
    """Whose order it will be; raises PermissionDenied where only support may say so."""
    is_guest = wanted.get("is_guest", False)
    customer_id: int | None = None if is_guest else wanted.get("customer_id", principal.user_id)
    if not is_own_or_support(principal, customer_id):
        raise PermissionDenied("Only support may order for somebody else.")
    return customer_id


def _require_own(principal: Principal, order_id: int) -> None:
    """Absent and foreign orders are refused alike. The customer is read in the command's own transaction."""
    if principal.is_support:
        return
    owners = list(Order.objects.filter(pk=order_id).values_list("customer_id", flat=True))
    if not owners or not is_own_or_support(principal, owners[0]):
        raise OrderNotFound(order_id)
