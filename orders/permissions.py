"""Who may see and change an order: its customer and support; a guest's order is support's alone."""

import json
import re

from users.authentication import Principal

# How PostgreSQL writes the customer. Inside of JSON text quotes are escaped, so nothing but the entry looks like this.
_CUSTOMER = re.compile(rb'"customer" ?: ?\{"id" ?: ?(\d+)[,}]')


def is_own_or_support(principal: Principal, customer_id: int | None) -> bool:
    """Whether the order with this customer (None: a guest) is the principal's own, or the principal is support."""
    return principal.is_support or (customer_id is not None and principal.user_id == customer_id)


def may_read_order(principal: Principal, body: bytes) -> bool:
    """The same for an order document, which names its customer."""
    return principal.is_support or is_own_or_support(principal, _customer_id(body))


def _customer_id(body: bytes) -> int | None:
    found = _CUSTOMER.search(body)
    customer_id: int | None = int(found[1]) if found else json.loads(body)["customer"]["id"]
    return customer_id
