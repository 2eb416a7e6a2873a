"""The users that imported orders belong to: those there are found by the retailer's number, the others are created."""

from collections.abc import Iterable

from django.contrib.auth.hashers import make_password

from orders.importing.errors import ImportRefused
from orders.importing.invoices import Invoice
from users.models import User


def find_or_create(invoices: list[Invoice]) -> tuple[dict[str, int], int]:
    """Every customer of the invoices is a user; returns user ids by the retailer's number, and how many are new.

    A new user can't sign in until somebody gives them an e-mail and a password. Raises ImportRefused.
    """
    # Backwards, so that a customer's first invoice has the last word on the country.
    countries = {invoice.customer: invoice.lines[0].country for invoice in reversed(invoices) if invoice.customer}
    there = _ids(countries)
    missing = sorted(countries.keys() - there.keys())
    if missing:
        User.objects.bulk_create((_user(ref, countries[ref]) for ref in missing), ignore_conflicts=True)
        there |= _ids(missing)
    if taken := [ref for ref in missing if ref not in there]:
        raise ImportRefused(f"the e-mail {_email(taken[0])} belongs to a user who was not imported")
    return there, len(missing)


def _ids(refs: Iterable[str]) -> dict[str, int]:
    users = User.objects.filter(external_ref__in=list(refs)).values_list("external_ref", "pk")
    return {ref: user_id for ref, user_id in users if ref is not None}


def _user(ref: str, country: str) -> User:
    return User(
        email=_email(ref), name=f"Customer {ref}", country=country, external_ref=ref, password=make_password(None)
    )


def _email(ref: str) -> str:
    return f"customer-{ref}@import.invalid"
