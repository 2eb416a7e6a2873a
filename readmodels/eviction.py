"""Redis must never drop a read model by itself: a server that evicts does so without an error to any writer. So worker,
relay and `manage.py up` refuse to start on one, and readiness reports it.
"""

from typing import Any, Protocol

from readmodels import connection
from readmodels.errors import MayEvict, StoreUnavailable

REQUIRED = "noeviction"


class _Client(Protocol):
    def info(self, section: str) -> Any: ...


def demand(client: _Client | None = None) -> None:
    """The read models' Redis never evicts. Raises MayEvict, or StoreUnavailable where it does not say."""
    found = policy(client or connection.read_models())
    if found != REQUIRED:
        raise MayEvict(found, REQUIRED)


def policy(client: _Client) -> str:
    """What Redis does when its memory is full; asked by INFO, since hosted servers don't permit CONFIG."""
    try:
        return str(client.info("memory")["maxmemory_policy"])
    except connection.RedisError as error:
        raise StoreUnavailable(str(error)) from error
