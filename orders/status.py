"""The states of an order and the moves between them; every other move is refused."""

from django.db.models import TextChoices


class Status(TextChoices):
    """Where an order stands."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    REFUNDED = "refunded"


# Money decides between the two ways out: what is not paid yet is cancelled, what is paid is refunded.
# A parcel on its way can't be refunded: it is delivered first (or refused at the door, which is a delivery too).
MOVES: dict[Status, tuple[Status, ...]] = {
    Status.PLACED: (Status.PAID, Status.CANCELLED),
    Status.PAID: (Status.SHIPPED, Status.REFUNDED),
    Status.SHIPPED: (Status.DELIVERED,),
    Status.DELIVERED: (Status.REFUNDED,),
    Status.CANCELLED: (),
    Status.REFUNDED: (),
}

# Goods that have not left the house go back on the shelf; those delivered are looked at first and restocked by hand.
RETURNS_STOCK = {(Status.PLACED, Status.CANCELLED), (Status.PAID, Status.REFUNDED)}

# Orders whose money the shop has.
PAID = (Status.PAID, Status.SHIPPED, Status.DELIVERED)
