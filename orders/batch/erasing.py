"""What imports remember of a person who is erased: a rejection may quote what was sent, an e-mail among it."""

from django.db.models import Q

from orders.batch.models import ImportRejection
from users.holders import Person

ERASED = "Erased."


def forget(person: Person) -> int:
    """No rejection says who the person was; returns how many did."""
    found = Q(pk__in=[])
    for text in person.alone:
        found |= Q(detail__icontains=text)
    return ImportRejection.objects.filter(found).update(detail=ERASED)
