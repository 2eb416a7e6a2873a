"""Who may see and change an order: its customer and support; a guest's order is support's alone."""

import json

from users.authentication import Principal


def is_own_or_support(principal: Principal, customer_id: int | None) -> bool:
    """Whether the order with this customer (None: a guest) is the principal's own, or the principal is support."""
    return principal.is_support or (customer_id is not None and principal.user_id == customer_id)


def may_read_order(principal: Principal, body: bytes) -> bool:
    """The same for an order document, which names its customer."""
    return principal.is_support or is_own_or_support(principal, json.loads(body)["customer"]["id"])
