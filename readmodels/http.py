"""What HTTP says about a read: which write it must include, how new the answer is, whether the asker has it already.

A bound on the age of an answer ("accept stale") will be one more field of `Asked`, read here and nowhere else.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.http import parse_etags

from readmodels import consistency
from readmodels.conf import conf
from readmodels.consistency import Token
from readmodels.query import Freshness

CONSISTENCY_TOKEN = "Consistency-Token"  # noqa: S105
VERSION = "Read-Model-Version"
AS_OF = "Read-Model-As-Of"
LAG = "Read-Model-Lag"

# RFC 7240 has whole seconds; a fraction is taken too. What can't be understood is ignored, as it says.
_WAIT = re.compile(r'(?:^|,)\s*wait\s*=\s*"?(\d{1,6}(?:\.\d{1,3})?)"?\s*(?=[,;]|$)', re.IGNORECASE)


@dataclass(frozen=True)
class Asked:
    """What a request asks of a read: the write to include, and how long to wait for it (None: as long as usual)."""

    token: Token | None
    wait_seconds: float | None


def asked(request: HttpRequest) -> Asked:
    """What the request's headers ask for; raises WrongToken."""
    token = request.headers.get(CONSISTENCY_TOKEN)
    wait = _WAIT.search(request.headers.get("Prefer", ""))
    return Asked(consistency.parse(token) if token is not None else None, float(wait[1]) if wait else None)


def respond(
    request: HttpRequest,
    body: bytes,
    etag: str,
    freshness: Freshness,
    wish: Asked,
    public_seconds: int | None = None,
) -> HttpResponse:
    """The bytes as they are, or 304 where the asker has them; with what any answer to a query says of itself."""
    is_known = _is_known(request.headers.get("If-None-Match"), etag)
    response = HttpResponseNotModified() if is_known else HttpResponse(body, content_type="application/json")
    response["ETag"] = etag
    response[AS_OF] = freshness.as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    response[LAG] = f"{freshness.lag_seconds:.3f}"
    if public_seconds is None:
        response["Cache-Control"] = "private, no-cache"
        response["Vary"] = "Authorization"
    else:
        # What a shared store kept from before a write must not answer who asks with that write's token.
        response["Cache-Control"] = f"public, max-age={public_seconds}"
        response["Vary"] = CONSISTENCY_TOKEN
    if wish.token is not None and wish.wait_seconds is not None:
        response["Preference-Applied"] = f"wait={min(wish.wait_seconds, conf().max_wait_seconds):g}"
    return response


def document_etag(version: str, row_version: str | None) -> str:
    """A strong ETag of a document; with its row's version in front, it is also what commands take in If-Match."""
    return f'"{row_version}.{version}"' if row_version else f'"{version}"'


def content_etag(body: bytes) -> str:
    """A weak ETag of what was put together from several documents, which have no version in common."""
    return f'W/"{blake2b(body, digest_size=12).hexdigest()}"'


def _is_known(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    known = parse_etags(if_none_match)
    return known == ["*"] or etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in known}
