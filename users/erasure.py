"""(1) Erasing a person. Orders are records of money and stay; nothing says any more whose they were.

`erase_customer` is the command, one transaction. `complete` does the rest, once that has committed: the read models in
all their generations, the engine's records, and a look everywhere for what was the person's alone. What says who they
were is kept in memory between the two, and nowhere else. A process that ends in between leaves a receipt that is not
complete; the read models follow all the same, as they follow every change.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from django.contrib.auth.hashers import make_password
from django.db import DatabaseError, transaction
from django.db.models.functions import Now

from readmodels import erasure
from readmodels.erasing import summed
from readmodels.erasure import OnStep, Row
from readmodels.errors import ReadModelError
from readmodels.store import Store
from users import holders
from users.commands import RESERVED_DOMAIN, locked
from users.holders import Person
from users.models import Erasure, User
from users.versions import change

log = structlog.get_logger()


@dataclass(frozen=True)
class Erased:
    """A user who is anonymous from now on, the receipt, and, in memory only, who it was."""

    user: User
    receipt: Erasure
    row: Row
    person: Person


@transaction.atomic
def erase_customer(
    *, user_id: int, by: int | None = None, also: Sequence[str] = (), expected_version: int | None = None
) -> Erased:
    """Nothing in the row, nor in what else holds something of the person here, says who it was.

    `by` is the id of who asks for it; `also` are further texts that were theirs alone, such as a former e-mail address.
    Erased again, the receipt is the same. Raises UserNotFound, StaleVersion.
    """
    user = locked(user_id, expected_version)
    label = f"erased-{user.pk}@erased{RESERVED_DOMAIN}"
    is_known = user.email != label
    row = erasure.note(User, user.pk)
    person = Person(user.pk, label, (*also, user.email), (user.name,)) if is_known else Person(user.pk, label, (*also,))
    places = holders.forget(person)
    if is_known:
        _make_anonymous(user, label)
        places.append({"name": User._meta.db_table, "found": 1, "rewritten": 1, "removed": 0})
    receipt = None if is_known else Erasure.objects.filter(user_id=user.pk).order_by("pk").last()
    if receipt is None:
        receipt = Erasure.objects.create(user_id=user.pk, by_id=by)
        receipt.refresh_from_db()
    receipt.places = summed([*receipt.places, *places])
    receipt.save(update_fields=["places"])
    return Erased(user, receipt, row, person)


def complete(erased: Erased, *, is_again: bool = False, on_step: OnStep = lambda what, count: None) -> Erasure:
    """The receipt, once nothing of the person is left in the read models either.

    Called when the erasure has committed. One that is complete already stays as it is, unless it `is_again` to be done
    or there is something to look for. Where a server fails it is not complete, and can be asked for again.
    """
    receipt, person = erased.receipt, erased.person
    if receipt.completed_at is not None and not person.alone and not is_again:
        return receipt
    try:
        found = erasure.erase(Store(), erased.row, alone=person.alone, shared=person.shared, on_step=on_step)
    except (ReadModelError, DatabaseError) as error:
        # Not its text, which may quote a row.
        log.warning("erasure_not_complete", user_id=person.user_id, reason=type(error).__name__)
        return receipt
    # Done again, what is settled says nothing of the person any more.
    settled = found.settled if receipt.completed_at is None else []
    receipt.places = summed([*receipt.places, *settled, *found.met])
    said_at = Now() if found.is_looked_for or receipt.completed_at is None else receipt.completed_at
    if found.is_looked_for:
        receipt.is_verified, receipt.left, receipt.unlooked = found.is_clean, found.left, found.unlooked
    Erasure.objects.filter(pk=receipt.pk).update(
        completed_at=said_at,
        places=receipt.places,
        is_verified=receipt.is_verified,
        left=receipt.left,
        unlooked=receipt.unlooked,
    )
    receipt.refresh_from_db()
    log.info("erased", user_id=person.user_id, is_verified=receipt.is_verified)
    return receipt


def _make_anonymous(user: User, label: str) -> None:
    change(
        user,
        email=label,
        password=make_password(None),
        name="Erased user",
        country="",
        external_ref=None,
        last_login=None,
        is_active=False,
        is_staff=False,
        is_support=False,
        is_catalogue=False,
        is_superuser=False,
    )
