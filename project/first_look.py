"""One round trip for what a query of one document needs: the grant of its token, the limits of who asks, the document.

Who asks is not known before the grant is read, but whose token it was when this process last met it is, and a token
never changes hands. What is read ahead is used by whoever would have read it; what was taken from limits that turn out
to be another's is given back.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from project import rate_limit
from readmodels import connection, limits, store
from readmodels.conf import conf
from readmodels.connection import Command
from readmodels.declare import Document
from readmodels.errors import ReadModelError
from readmodels.limits import Limit, Taken
from readmodels.query import Key, Seen, reader
from readmodels.store import ReadyCall
from readmodels.views import DocumentView
from users.addresses import client_address
from users.authentication import met
from users.readmodels.access_grant import AccessGrant


class Question(NamedTuple):
    """What is asked for, by whom as far as the token's text says, and what it takes."""

    of: type[Document]
    key: Key
    grant: str | None  # the token's hash; None where nobody is asked who they are
    user_id: int | None
    limits: tuple[Limit, ...]


def question(view: DocumentView | type[DocumentView], key: Key, meta: Mapping[str, Any]) -> Question | None:
    """The question of a GET (a request's META, or a WSGI environ); None: it is not known who asks."""
    grant, user_id = None, None
    if "GET" not in view.public_methods:
        token = met(meta.get("HTTP_AUTHORIZATION", ""))
        if token is None:
            return None
        grant, user_id = token
    limits = rate_limit.limits_of("queries", user_id, client_address(meta))
    return Question(view.read_model, key, grant, user_id, tuple(limits))


def is_possible() -> bool:
    """Whether limits lie beside the documents, and Redis is not being left alone."""
    return not conf().limits_url and not limits.patience.is_closed


def look(asked: Question) -> tuple[list[Seen], Taken] | None:
    """(what is stored of the document and of the grant, what was taken); None: Redis can't say now."""
    try:
        looks = [reader().look(asked.of, asked.key)]
        if asked.grant:
            looks.append(_grant_look(asked.grant, reader().generation(AccessGrant)))
        seen, answers = reader().see(looks, [_take_call(asked.limits)] if asked.limits else [])
    except ReadModelError:
        return None
    return seen, limits.taken(asked.limits, answers[0]) if answers else limits.NOTHING_TAKEN


# What is sent for the same asker again and again is kept as it is sent.


@lru_cache(maxsize=4096)
def _grant_look(grant: str, generation: int) -> Command:
    return connection.packed(store.look(AccessGrant.__name__, generation, grant))


@lru_cache(maxsize=4096)
def _take_call(of: tuple[Limit, ...]) -> ReadyCall:
    return store.ready(limits.take_call(of))
