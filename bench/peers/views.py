"""Views of one order that its customer may read."""

from typing import Any

from django.core.cache import cache
from django.shortcuts import get_object_or_404
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from bench.peers.serializers import OrderSerializer
from orders.models import Order, OrderLine
from users.models import User

ORDERS = Order.objects.select_related("customer").prefetch_related("lines__product")


class OrderByOrm(APIView):
    """Two queries for the rows, then the serializer."""

    def get(self, request: Request, order_id: int) -> Response:
        """The order."""
        order = get_object_or_404(ORDERS, pk=order_id, customer_id=_asker(request))
        return Response(OrderSerializer(order).data)


class OrderFromCache(APIView):
    """What the serializer made, kept in Django's cache; somebody would have to delete it on each change."""

    def get(self, request: Request, order_id: int) -> Response:
        """The order."""
        data: Any = cache.get_or_set(f"order:{order_id}", lambda: self._data(order_id), 3600)
        if data["customer"]["id"] != int(_asker(request)):
            raise NotFound
        return Response(data)

    def _data(self, order_id: int) -> dict[str, Any]:
        return dict(OrderSerializer(get_object_or_404(ORDERS, pk=order_id)).data)


class OrderByCacheops(APIView):
    """The rows as django-cacheops keeps them, query by query, then the serializer."""

    def get(self, request: Request, order_id: int) -> Response:
        """The order."""
        order = get_object_or_404(Order, pk=order_id, customer_id=_asker(request))
        order.customer = User.objects.get(pk=order.customer_id)  # type: ignore[misc]  # it has a customer: found by it
        lines = list(OrderLine.objects.filter(order_id=order.pk).select_related("product").order_by("position"))
        order._prefetched_objects_cache = {"lines": lines}  # type: ignore[attr-defined]  # unknown to the stubs
        return Response(OrderSerializer(order).data)


def _asker(request: Request) -> Any:
    """The id of whose token it is; nobody gets here without one."""
    return request.user.id
