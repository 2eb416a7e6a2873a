"""What holds something of a person beside their row, and how it is made to forget. Each is called in the transaction
that erases them, and again whenever that is repeated.

Whoever adds a table that may hold something of a person registers it in its `AppConfig.ready`:

    holders.register("shop_wish", lambda person: Wish.objects.filter(user_id=person.user_id).delete()[0])
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.db.models import Q
from knox.models import AuthToken

from users.kept_answers import forget_answers_of
from users.models import User


@dataclass(frozen=True)
class Person:
    """Who is being erased: their id, what stands for them from now on, and what said who they were.

    `alone` are texts that nobody else has (e-mail addresses), `shared` those that others may have too (a name).
    """

    user_id: int
    label: str
    alone: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


# Makes a table forget the person; returns how many rows held something of them.
Forget = Callable[[Person], int]


@dataclass(frozen=True)
class Holder:
    """A table, and whether its rows go or are rewritten."""

    place: str
    forget: Forget
    is_rewritten: bool


_holders: dict[str, Holder] = {}


def register(place: str, forget: Forget, *, is_rewritten: bool = False) -> None:
    """The table of this name forgets whoever is erased from now on; called once, at the start."""
    _holders[place] = Holder(place, forget, is_rewritten)


def forget(person: Person) -> list[dict[str, Any]]:
    """Nothing that is registered says who the person was; returns what was found, as a receipt has it."""
    found = []
    for holder in _holders.values():
        rows = holder.forget(person)
        changed = {"rewritten": rows, "removed": 0} if holder.is_rewritten else {"rewritten": 0, "removed": rows}
        found.append({"name": holder.place, "found": rows, **changed})
    return found


def _tokens(person: Person) -> int:
    return int(AuthToken.objects.filter(user_id=person.user_id).delete()[0])


def _roles(person: Person) -> int:
    groups = User.groups.through.objects.filter(user_id=person.user_id).delete()[0]
    return groups + User.user_permissions.through.objects.filter(user_id=person.user_id).delete()[0]


def _admin_log(person: Person) -> int:
    """Each entry carries the name that a row had when it was changed, of a user the e-mail."""
    of_person = Q(content_type=ContentType.objects.get_for_model(User), object_id=str(person.user_id))
    entries = LogEntry.objects.all()
    named = entries.filter(of_person | _says("object_repr", person.alone)).exclude(object_repr=person.label)
    told = entries.filter(
        _says("change_message", person.alone) | of_person & _says("change_message", [*person.alone, *person.shared])
    )
    ids = {*named.values_list("pk", flat=True), *told.values_list("pk", flat=True)}
    told.update(change_message="")
    named.update(object_repr=person.label)
    return len(ids)


def _says(column: str, texts: Iterable[str]) -> Q:
    """Whether the column has any of the texts in it, plain or as JSON."""
    found = Q(pk__in=[])
    for text in texts:
        found |= Q(**{f"{column}__icontains": text}) | Q(**{f"{column}__icontains": json.dumps(text)[1:-1]})
    return found


def _sessions(person: Person) -> int:
    """Theirs go; of others goes what names them (a message to staff that was not shown yet). They lie in base64."""
    store, count = SessionStore(), 0
    for session in Session.objects.iterator():
        held = store.decode(session.session_data)
        kept = {name: value for name, value in held.items() if not _names(value, person.alone)}
        if str(held.get("_auth_user_id")) == str(person.user_id):
            session.delete()
        elif kept != held:
            session.session_data = store.encode(kept)
            session.save(update_fields=["session_data"])
        else:
            continue
        count += 1
    return count


def _names(value: object, texts: Iterable[str]) -> bool:
    written = json.dumps(value, ensure_ascii=False, default=str).lower()
    return any(text.lower() in written for text in texts)


register("knox_authtoken", _tokens)
register("groups and permissions", _roles)
register("django_admin_log", _admin_log, is_rewritten=True)
register("django_session", _sessions)
register("users_kept_answer", lambda person: forget_answers_of(person.user_id))
