"""(7) GET: orders, products and sales out of their read models."""

from orders.permissions import may_read_order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.import_report import ImportReport
from orders.readmodels.order_detail import OrderDetail
from orders.readmodels.orders_by_status import OrdersByStatus
from orders.readmodels.product_card import ProductCard
from orders.readmodels.product_list import ProductList
from orders.readmodels.sales_by_day import SalesByDay
from readmodels.export_view import ExportView
from readmodels.live_views import LiveView
from readmodels.several_view import EitherView, SeveralView
from readmodels.summary_view import SummaryView
from readmodels.views import DailyView, DocumentView, PageView
from readmodels.walking_days import Walk
from users.authentication import Principal, granted_now
from users.permissions import is_self_or_support


class OrderQuery(DocumentView):
    """One order, for its customer and support."""

    read_model = OrderDetail
    key = "order_id"
    row_version = "version"

    def may_read(self, principal: Principal, key: int, body: bytes) -> bool:
        """Its customer and support."""
        return may_read_order(principal, body)


class OrdersByIdQuery(SeveralView):
    """Several orders; to a customer their own, to support all."""

    read_model = OrderDetail
    keys = "ids"

    def may_read(self, principal: Principal, body: bytes) -> bool:
        """Its customer and support."""
        return may_read_order(principal, body)


class CustomerOrdersQuery(PageView):
    """A customer's orders, for themselves and support."""

    read_model = CustomerOrders
    partition = "user_id"

    def may_list(self, principal: Principal, partition: int) -> bool:
        """Themselves and support."""
        return is_self_or_support(principal, partition)


class CustomerOrdersSummary(SummaryView):
    """How many orders a customer has and what was paid for them, for themselves and support."""

    read_model = CustomerOrders
    partition = "user_id"

    def may_list(self, principal: Principal, partition: int) -> bool:
        """Themselves and support."""
        return is_self_or_support(principal, partition)


class OrderLive(LiveView):
    """One order as it changes, for its customer and support."""

    query = OrderQuery
    granted = staticmethod(granted_now)


class CustomerOrdersLive(LiveView):
    """A customer's orders as they come and change, for themselves and support."""

    query = CustomerOrdersQuery
    granted = staticmethod(granted_now)


class OrdersByStatusQuery(PageView):
    """All orders of one status, for support."""

    read_model = OrdersByStatus
    partition = "status"

    def may_list(self, principal: Principal, partition: str) -> bool:
        """Support."""
        return principal.is_support


class OrdersQuery(EitherView):
    """Orders by their ids, or all of one status."""

    name = "Orders"
    ways = {"ids": OrdersByIdQuery, "status": OrdersByStatusQuery}


class OrdersExport(ExportView):
    """All orders, for support, day by day (UTC); no snapshot: each order as it is when its turn comes."""

    read_model = OrderDetail
    # An order never changes its day, so one that changes its status meanwhile is neither missed nor doubled.
    walk = Walk(OrderDetail, by_day=SalesByDay, key="id", ends=OrdersByStatus, moment="placed_at")
    columns = {
        "id": "id",
        "status": "status",
        "currency": "currency",
        "total_cents": "total_cents",
        "placed_at": "placed_at",
        "updated_at": "updated_at",
        "version": "version",
        "customer_id": "customer.id",
        "customer_name": "customer.name",
    }
    file_name = "orders"

    def may_export(self, principal: Principal) -> bool:
        """Support."""
        return principal.is_support


class ProductsQuery(PageView):
    """All products, for anybody."""

    read_model = ProductList
    public_methods = frozenset({"GET", "HEAD"})

    def may_list(self, principal: Principal, partition: str) -> bool:
        """Anybody."""
        return True


class ProductQuery(DocumentView):
    """One product, for anybody."""

    read_model = ProductCard
    key = "sku"
    row_version = "version"
    public_methods = frozenset({"GET", "HEAD"})

    def may_read(self, principal: Principal, key: str, body: bytes) -> bool:
        """Anybody."""
        return True


class SalesQuery(DailyView):
    """Sales per day and currency, for staff."""

    read_model = SalesByDay

    def may_list(self, principal: Principal) -> bool:
        """Staff."""
        return principal.is_staff


class ImportQuery(DocumentView):
    """How far an import is, for support."""

    read_model = ImportReport
    key = "job_id"

    def may_read(self, principal: Principal, key: int, body: bytes) -> bool:
        """Support."""
        return principal.is_support
