"""What bulk actions of the admin did, noted in the history of each row, as Django notes what its forms change."""

from collections.abc import Iterable
from typing import cast

from django.contrib.admin.models import CHANGE, LogEntry
from django.db.models import Model
from django.http import HttpRequest

from users.models import User


def note_change(request: HttpRequest, rows: Iterable[Model], what: str) -> None:
    """Each row's history says what was done and who did it; called in the transaction that did."""
    who = cast(User, request.user)
    LogEntry.objects.log_actions(who.pk, rows, CHANGE, what)
