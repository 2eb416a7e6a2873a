"""Query parameters, read strictly: what is not understood is refused by name, never ignored."""

import re
from collections.abc import Collection as Names
from datetime import date
from typing import Any

from django.db.models import F, IntegerField
from django.http import HttpRequest
from rest_framework.exceptions import ErrorDetail, ValidationError

from readmodels.conf import conf
from readmodels.declare import Collection, Document
from readmodels.positions import value_field
from readmodels.query import is_descending, sort_name

DEFAULT_LIMIT = 20
MOST_KEYS = 100
GREATEST_KEY = 2**63 - 1


def only(request: HttpRequest, known: Names[str], required: Names[str] = ()) -> dict[str, str]:
    """The request's parameters by name; raises ValidationError naming those unknown, given twice or missing."""
    given = request.GET
    wrong = {name: ErrorDetail(_unknown(known), "unknown") for name in given if name not in known}
    for name, values in given.lists():
        if name in known and len(values) > 1:
            wrong[name] = ErrorDetail("Given more than once.", "repeated")
    wrong |= {name: ErrorDetail("Required.", "required") for name in required if name not in given}
    if wrong:
        raise ValidationError({name: [text] for name, text in wrong.items()})
    return {name: given[name] for name in given}


def limit(text: str | None) -> int:
    """How many rows a page shall have; raises ValidationError."""
    if text is None:
        return DEFAULT_LIMIT
    most = conf().max_page_rows
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= most:
        raise ValidationError({"limit": [f"A whole number from 1 to {most} is accepted."]})
    return int(text)


def choice(of: type[Collection], name: str, text: str) -> str:
    """The value of a filter or partition; raises ValidationError where the column only holds others."""
    accepted = accepted_values(of, name)
    if accepted is not None and text not in accepted:
        raise ValidationError({name: [f"{', '.join(accepted)} are accepted."]})
    return text


def accepted_values(of: type[Collection], name: str) -> list[str] | None:
    """What the root's column of this name may hold, where its field says so."""
    partition_by: Any = of.partition_by
    is_column = name in of.filter_by or not isinstance(partition_by, F)
    field: Any = of.root._meta.get_field(name if is_column else partition_by.name)
    return [str(value) for value, _ in field.flatchoices] or None


def keys(of: type[Document], name: str, text: str) -> list[str | int]:
    """The keys of a document that a parameter lists, in its order; raises ValidationError."""
    given = text.split(",")
    if len(given) > MOST_KEYS or len(set(given)) < len(given):
        raise ValidationError({name: [f"At most {MOST_KEYS} are accepted, each once, with commas between."]})
    if not is_by_number(of):
        return list(given)
    if not all(re.fullmatch(r"[1-9][0-9]{0,18}", each) and int(each) <= GREATEST_KEY for each in given):
        raise ValidationError({name: ["Whole numbers such as 3,1,2 are accepted, with commas between."]})
    return [int(each) for each in given]


def is_by_number(of: type[Document]) -> bool:
    """Whether the documents' key is an integer."""
    key: Any = of.key
    field: Any = of.root._meta.pk if key.name == "pk" else of.root._meta.get_field(key.name)
    return isinstance(value_field(field), IntegerField)


def is_reversed(of: type[Collection], text: str | None) -> bool:
    """Whether the parameter `sort` asks for the order against the declared one; raises ValidationError."""
    accepted = sorts(of)
    if text is None or text in accepted:
        return text is not None and text != accepted[0]
    raise ValidationError({"sort": [f"{' or '.join(accepted)} is accepted."]})


def sorts(of: type[Collection]) -> list[str]:
    """What `sort` may be, the declared order first; empty where it has no name."""
    name = sort_name(of)
    if name is None:
        return []
    return [f"-{name}", name] if is_descending(of) else [name, f"-{name}"]


def days(first: str, last: str, most: int) -> tuple[date, date]:
    """The first and last day of the parameters `from` and `to`; raises ValidationError, also for too many days."""
    start, end = _day("from", first), _day("to", last)
    if end < start:
        raise ValidationError({"to": ["Must not be before `from`."]}, code="out_of_order")
    if (end - start).days >= most:
        raise ValidationError({"to": [f"At most {most} days are accepted."]}, code="too_many")
    return start, end


def open_days(first: str | None, last: str | None) -> tuple[date | None, date | None]:
    """The same where either may be left out, for however many days."""
    start, end = _day("from", first) if first is not None else None, _day("to", last) if last is not None else None
    if start and end and end < start:
        raise ValidationError({"to": ["Must not be before `from`."]}, code="out_of_order")
    return start, end


def _day(name: str, text: str) -> date:
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ValidationError({name: ["A date as 2026-01-31 is accepted."]})


def _unknown(known: Names[str]) -> str:
    return f"Unknown parameter; known: {', '.join(known)}." if known else "Unknown parameter; none is known here."
