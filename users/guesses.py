"""Guessing passwords takes too long to be of use, and nobody can lock another out by guessing at theirs.

An attempt counts before the password is looked at, so that many at once are no way around; one that succeeds is given
back. Three limits hold together: for the e-mail from this address, for the e-mail from anywhere, for the address with
any e-mail. Whoever has succeeded at an address before is not held to the second: an attacker with many addresses uses
it up, and the owner still gets in. An e-mail that no account has is counted and answered like any other.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from readmodels import connection
from readmodels.errors import StoreUnavailable
from readmodels.limits import Limit, patience
from readmodels.store import Store
from users.addresses import client_address
from users.models import normalise_email

# The limits, as the settings name them.
PAIR, ACCOUNT, ADDRESS = "failed-log-ins-per-pair", "failed-log-ins-per-account", "failed-log-ins-per-address"
# So long an address at which somebody got in is not held to what strangers use up.
KNOWN_SECONDS = 30 * 24 * 3600
KNOWN = "known"


class TooManyGuesses(Exception):
    """So many attempts have failed that the password is not looked at; says in how many seconds it will be."""

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(f"Too many attempts have failed. Try again in {wait_seconds} s.")
        self.wait_seconds = wait_seconds


@dataclass(frozen=True)
class Guess:
    """An attempt that was counted as a failed one until `succeeded` is called."""

    pair: str
    limits: tuple[Limit, ...]

    def succeeded(self) -> None:
        """The account's failures are forgotten, and this attempt at its address; the address is known to be theirs."""
        patience.ask(self._forget)

    def _forget(self) -> bool:
        store = Store(connection.limits())
        own = [limit for limit in self.limits if limit.name != ADDRESS]
        store.return_to(own, is_all=True)
        store.return_to([limit for limit in self.limits if limit.name == ADDRESS])
        store.remember(KNOWN, self.pair, KNOWN_SECONDS)
        return True


def guess(request: HttpRequest, email: str, *, is_open: bool = False) -> Guess:
    """An attempt at the password of this e-mail may be made. Raises TooManyGuesses; and StoreUnavailable where Redis
    can't count it, unless it is open then.
    """
    account = _hashed(normalise_email(email))
    address = client_address(request.META)
    pair = _hashed(f"{account} {address}")
    found = patience.ask(lambda: _taken(account, address, pair))
    if found is None and not is_open:
        raise StoreUnavailable("attempts to log in can't be counted")
    limits, wait_seconds = found or ((), 0)
    if wait_seconds:
        raise TooManyGuesses(wait_seconds)
    return Guess(pair, limits)


def _taken(account: str, address: str, pair: str) -> tuple[tuple[Limit, ...], int]:
    """(the limits that hold, in how many seconds they allow an attempt: 0 where they have allowed this one)."""
    store = Store(connection.limits())
    holding = {PAIR: pair, ADDRESS: address}
    if not store.is_remembered(KNOWN, pair):
        holding[ACCOUNT] = account
    limits = tuple(_limits(holding))
    taken = store.take(limits)
    return limits, 0 if taken.is_taken else max(taken.retry_in_seconds, 1)


def _limits(holding: dict[str, str]) -> Iterator[Limit]:
    for name, of in holding.items():
        rate = settings.LIMITS[name]
        if rate is not None:
            yield Limit(name, of, *rate)


def _hashed(text: str) -> str:
    """What is kept of an e-mail says nothing to whoever reads Redis."""
    return salted_hmac("users.guesses", text, algorithm="sha256").hexdigest()[:32]
