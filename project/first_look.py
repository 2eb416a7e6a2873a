"""One round trip for what a query of one document needs: the grant of its token, the limits of who asks, the document.

Who asks is not known before the grant is read, but whose token it was when this process last met it is, and a token
never changes hands. What is read ahead is used by whoever would have read it; what was taken from limits that turn out
to be another's is given back.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from django.core.signals import setting_changed

from project import rate_limit
from readmodels import limits, store
from readmodels.conf import conf
from readmodels.errors import ReadModelError
from readmodels.limits import NOTHING_TAKEN, Allowance, Limits, Taken
from readmodels.query import Key, Seen, reader
from readmodels.store import Ready
from readmodels.views import DocumentView
from users.addresses import client_address
from users.authentication import ANYBODY, Met, met
from users.readmodels.access_grant import AccessGrant


class Asker(NamedTuple):
    """Who asks, as far as the token's text and the address say, and what is asked of Redis beside the document."""

    token: Met
    limits: Limits
    allowance: Allowance
    grant: Ready


class Look(NamedTuple):
    """What is stored of the document, and of the grant where there is a token, and what was taken from limits."""

    asker: Asker
    seen: list[Seen]
    taken: Taken


def look(view: DocumentView | type[DocumentView], key: Key, meta: Mapping[str, Any]) -> Look | None:
    """The look that a GET (a request's META, or a WSGI environ) needs.

    None: it is not known who asks, limits lie elsewhere, or Redis can't say now.
    """
    token = ANYBODY if "GET" in view.public_methods else met(meta.get("HTTP_AUTHORIZATION", ""))
    if token is None or conf().limits_url or limits.patience.is_closed:
        return None
    served = reader()
    try:
        asker = _asker(token, client_address(meta), served.generation(AccessGrant))
        taken = asker.allowance.use() if asker.limits else NOTHING_TAKEN
        if taken:
            seen, _ = served.see(view.read_model, key, asker.grant)
        else:
            seen, [answer] = served.see(view.read_model, key, _taking(asker, asker.allowance.wanted))
            taken = asker.allowance.keep(asker.limits, answer)
    except ReadModelError:
        return None
    return Look(asker, seen, taken)


# What is sent for the same asker again and again is kept as it is sent.
@lru_cache(maxsize=4096)
def _asker(token: Met, address: str, generation: int) -> Asker:
    held = rate_limit.limits_of("queries", token.user_id, address)
    looks = [store.look(AccessGrant.__name__, generation, token.digest)] if token.digest else []
    return Asker(token, held, Allowance(), store.ready(looks, []))


@lru_cache(maxsize=4096)
def _taking(asker: Asker, count: int) -> Ready:
    """What is asked where so many are to be taken from the asker's limits."""
    taking = store.ready([], [limits.take_call(asker.limits, count)])
    return Ready(asker.grant.packed + taking.packed, asker.grant.looks, taking.scripts)


def forget(**changed: Any) -> None:
    """Askers, and what was taken ahead for them, are as if they had not asked before."""
    _asker.cache_clear()


setting_changed.connect(forget)
