"""One order of a chunk: placed in a savepoint of its own, or rejected. What the chunk will lock is locked before."""

import structlog
from django.db import InterfaceError, OperationalError, connection

from orders.batch.errors import Rejected
from orders.batch.judging import Wanted, readable
from orders.batch.reading import Found
from orders.commands import place_order
from orders.errors import ExternalRefTaken
from orders.models import Order, Product
from users.errors import Refused
from users.models import User
from users.text import is_readable

log = structlog.get_logger()

# Longer, others' locks are not waited for: those held meanwhile would be waited for in their turn.
LOCK_SECONDS = 2


def lock(wanted: list[Wanted]) -> None:
    """All rows that the chunk's orders lock are locked, in the order in which each order locks its own.

    Else a chunk that has the product of its first order, and waits for that of its second, and an order over HTTP that
    has the second and waits for the first, would wait for each other.
    """
    customers = {each.customer_id for each in wanted if each.customer_id is not None}
    skus = {sku for each in wanted for sku, _ in each.lines if is_readable(sku)}
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
    for rows in (User.objects.filter(pk__in=customers), Product.objects.filter(sku__in=skus)):
        list(rows.select_for_update(no_key=True).order_by("pk").values_list("pk"))


def taken(wanted: list[Wanted]) -> dict[str, int]:
    """The orders there already, by their names elsewhere."""
    refs = [each.external_ref for each in wanted if each.external_ref]
    found = Order.objects.filter(external_ref__in=refs).values_list("external_ref", "pk")
    return {ref: order_id for ref, order_id in found if ref is not None}


def place(found: Found, wanted: Wanted, taken: dict[str, int]) -> Rejected | None:
    """The order stands, in a savepoint of its own, or is rejected for this reason."""
    try:
        if wanted.external_ref in taken:
            raise ExternalRefTaken(wanted.external_ref)
        order = place_order(
            customer_id=wanted.customer_id,
            lines=wanted.lines,
            placed_at=wanted.placed_at,
            external_ref=wanted.external_ref,
        )
    except Refused as refusal:
        return readable(Rejected(found.lines[0], refusal.code, refusal.detail))
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # a fault of the code: the other lines may well be fine
        log.warning("import_line_failed", line=found.lines[0], exc_info=True)
        return Rejected(found.lines[0], "server_error", "Something went wrong here; it has been logged.")
    if wanted.external_ref:
        taken[wanted.external_ref] = order.pk
    return None
