"""(7) GET: orders, products and sales out of their read models."""

from orders.permissions import may_read_order
from orders.readmodels.customer_orders import CustomerOrders
from orders.readmodels.order_detail import OrderDetail
from orders.readmodels.orders_by_status import OrdersByStatus
from orders.readmodels.product_card import ProductCard
from orders.readmodels.sales_by_day import SalesByDay
from readmodels.live_views import LiveView
from readmodels.views import DailyView, DocumentView, PageView
from users.authentication import Principal, granted_now
from users.permissions import is_self_or_staff


class OrderQuery(DocumentView):
    """One order, for its customer and staff."""

    read_model = OrderDetail
    key = "order_id"
    row_version = "version"

    def may_read(self, principal: Principal, key: int, body: bytes) -> bool:
        """Its customer and staff."""
        return may_read_order(principal, body)


class CustomerOrdersQuery(PageView):
    """A customer's orders, for themselves and staff."""

    read_model = CustomerOrders
    partition = "user_id"

    def may_list(self, principal: Principal, partition: int) -> bool:
        """Themselves and staff."""
        return is_self_or_staff(principal, partition)


class OrderLive(LiveView):
    """One order as it changes, for its customer and staff."""

    query = OrderQuery
    granted = staticmethod(granted_now)


class CustomerOrdersLive(LiveView):
    """A customer's orders as they come and change, for themselves and staff."""

    query = CustomerOrdersQuery
    granted = staticmethod(granted_now)


class OrdersByStatusQuery(PageView):
    """All orders of one status, for staff."""

    read_model = OrdersByStatus
    partition = "status"

    def may_list(self, principal: Principal, partition: str) -> bool:
        """Staff."""
        return principal.is_staff


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
