"""The addresses of orders, products and sales. Where reading and changing share one, both views stand behind it."""

from django.urls import path

from orders import command_views as commands
from orders import import_command_views as import_commands
from orders import product_command_views as product_commands
from orders import query_views as queries


class OrderList(queries.OrdersQuery, commands.PlaceOrder):
    """All orders."""


class ProductList(queries.ProductsQuery, product_commands.CreateProduct):
    """All products."""


class ProductResource(queries.ProductQuery, product_commands.ProductCommands):
    """One product."""


# Also served by the process of live updates, which serves nothing else.
live = [
    path("orders/<int:order_id>/events", queries.OrderLive.as_view(), name="order-events"),
    path("users/<int:user_id>/orders/events", queries.CustomerOrdersLive.as_view(), name="user-orders-events"),
]

urlpatterns = [
    # What is asked most comes first: addresses are tried in turn.
    path("orders/<int:order_id>", queries.OrderQuery.as_view(), name="order"),
    path("products/<str:sku>", ProductResource.as_view(), name="product"),
    *live,
    path("orders", OrderList.as_view(), name="orders"),
    path("orders/import", import_commands.ImportOrders.as_view()),
    path("orders/import/<int:job_id>", queries.ImportQuery.as_view(), name="order-import"),
    path("orders/export", queries.OrdersExport.as_view(), name="orders-export"),
    path("orders/<int:order_id>/pay", commands.PayOrder.as_view()),
    path("orders/<int:order_id>/ship", commands.ShipOrder.as_view()),
    path("orders/<int:order_id>/deliver", commands.DeliverOrder.as_view()),
    path("orders/<int:order_id>/cancel", commands.CancelOrder.as_view()),
    path("orders/<int:order_id>/refund", commands.RefundOrder.as_view()),
    path("users/<int:user_id>/orders", queries.CustomerOrdersQuery.as_view(), name="user-orders"),
    path("users/<int:user_id>/orders/summary", queries.CustomerOrdersSummary.as_view(), name="user-orders-summary"),
    path("products", ProductList.as_view(), name="products"),
    path("products/<str:sku>/restock", product_commands.RestockProduct.as_view()),
    path("sales", queries.SalesQuery.as_view(), name="sales"),
]
