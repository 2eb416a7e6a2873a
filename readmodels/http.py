"""What HTTP says about a read: what it must show, how new the answer is, whether the asker has it already."""

import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from urllib.request import parse_http_list

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils.http import parse_etags
from rest_framework.exceptions import ValidationError

from readmodels import consistency
from readmodels.conf import conf
from readmodels.consistency import Token
from readmodels.errors import WrongToken
from readmodels.waiting import Freshness, Wish

CONSISTENCY_TOKEN = "Consistency-Token"  # noqa: S105
CACHE_CONTROL = "Cache-Control"
VERSION = "Read-Model-Version"
AS_OF = "Read-Model-As-Of"
LAG = "Read-Model-Lag"
STALE = "Read-Model-Stale"

PRIVATE = ((CACHE_CONTROL, "private, no-cache"), ("Vary", "Authorization"))
# What a shared store kept from before a write must not answer who asks with that write's token; nor must what it kept
# for anybody answer who asks for a greatest staleness.
PUBLIC_VARY = ("Vary", f"{CONSISTENCY_TOKEN}, {CACHE_CONTROL}")

# A client keeps the tokens of its last writes; 20 took 1.5 ms to check, on a machine busy with tests.
MOST_TOKENS = 20
MAX_STALE = "max-stale"
ON_TIMEOUT = "on-timeout"

# RFC 7240 and RFC 9111 have whole seconds; a fraction is taken too.
_WAIT = re.compile(r"\d{1,6}(\.\d{1,3})?", re.ASCII)
_SECONDS = re.compile(r"\d+(\.\d+)?", re.ASCII)


def asked(request: HttpRequest) -> Wish:
    """What the headers of a query ask for; raises WrongToken, and ValidationError for what is no `max-stale`."""
    preferred = _named(request.headers.get("Prefer", ""))
    # RFC 7240: what can't be understood is ignored.
    wait = preferred.get("wait") or ""
    wish = Wish(
        token=tokens(request),
        max_stale_seconds=_max_stale(request.headers.get(CACHE_CONTROL, "")),
        is_stale_fine=preferred.get(ON_TIMEOUT) == "stale",
    )
    if _WAIT.fullmatch(wait):
        wish["wait_seconds"] = float(wait)
    return wish


def tokens(request: HttpRequest) -> tuple[Token, ...]:
    """The consistency tokens that a request carries; raises WrongToken, and ValidationError for too many."""
    text = request.headers.get(CONSISTENCY_TOKEN)
    if text is None:
        return ()
    # An element of a list may be empty (RFC 9110); all of them may not.
    found = [each for each in (part.strip() for part in text.split(",")) if each]
    if not found:
        raise WrongToken("no token")
    if len(found) > MOST_TOKENS:
        raise ValidationError({CONSISTENCY_TOKEN: [f"At most {MOST_TOKENS} tokens are accepted."]})
    return tuple(consistency.parse(each) for each in found)


def respond(
    request: HttpRequest,
    body: bytes,
    etag: str,
    freshness: Freshness,
    wish: Wish,
    public_seconds: int | None = None,
) -> HttpResponse:
    """The bytes as they are, or 304 where the asker has them; with what any answer to a query says of itself."""
    known = is_known(request.META.get("HTTP_IF_NONE_MATCH"), etag)
    response = HttpResponseNotModified() if known else HttpResponse(body, content_type="application/json")
    for name, value in told(etag, freshness, wish, public_seconds):
        response[name] = value
    return response


def told(etag: str, freshness: Freshness, wish: Wish, public_seconds: int | None) -> list[tuple[str, str]]:
    """The headers of an answer to a query."""
    found = [("ETag", etag), (VERSION, freshness.version), *_age(freshness.as_of, freshness.lag_seconds)]
    if freshness.is_stale:
        found.append((STALE, "true"))
    if public_seconds is None:
        found += PRIVATE
    else:
        found += ((CACHE_CONTROL, _kept_by_all(freshness, wish, public_seconds)), PUBLIC_VARY)
    if wish and (applied := ", ".join(_applied(wish))):
        found.append(("Preference-Applied", applied))
    return found


@lru_cache(maxsize=512)  # progress is the same between two drains
def _age(as_of: datetime, lag_seconds: float) -> tuple[tuple[str, str], tuple[str, str]]:
    at = as_of.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return (AS_OF, at), (LAG, f"{lag_seconds:.3f}")


def _kept_by_all(freshness: Freshness, wish: Wish, public_seconds: int) -> str:
    """How long shared stores may keep a public answer: not at all where its age matters, since it grows there."""
    is_kept = not freshness.is_stale and wish.get("max_stale_seconds") is None
    return f"public, max-age={public_seconds}" if is_kept else "no-store"


def _applied(wish: Wish) -> Iterator[str]:
    """The preferences that had a bearing on the answer; without anything to wait for, none had."""
    if not wish.get("token") and wish.get("max_stale_seconds") is None:
        return
    wait_seconds = wish.get("wait_seconds")
    if wait_seconds is not None:
        yield f"wait={min(wait_seconds, conf().max_wait_seconds):g}"
    if wish.get("is_stale_fine"):
        yield f"{ON_TIMEOUT}=stale"


def _max_stale(text: str) -> float | None:
    """The seconds of `max-stale` in a Cache-Control header; None: there is none, or any will do."""
    value = _named(text).get(MAX_STALE)
    if value is None:
        return None
    if not _SECONDS.fullmatch(value):
        raise ValidationError({CACHE_CONTROL: ["max-stale alone, or with seconds such as 5 or 0.5, is accepted."]})
    return float(value)


def _named(text: str) -> dict[str, str | None]:
    """A list of `name` or `name=value` as preferences and cache directives have it; of one name, the first counts."""
    found: dict[str, str | None] = {}
    for element in parse_http_list(text):  # commas in quotes divide nothing
        name, is_given, value = element.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"') if is_given else None)
    return found


def document_etag(version: str, row_version: str | None, selection: str = "") -> str:
    """A strong ETag of a document, or of a selection of its entries; with its row's version in front, it is also what
    commands take in If-Match.
    """
    text = f"{version}x{selection}" if selection else version
    return f'"{row_version}.{text}"' if row_version else f'"{text}"'


def content_etag(body: bytes) -> str:
    """A weak ETag of what was put together from several documents, which have no version in common."""
    return f'W/"{blake2b(body, digest_size=12).hexdigest()}"'


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Whether the asker has what this ETag names."""
    if if_none_match is None or if_none_match == etag:
        return if_none_match == etag
    known = parse_etags(if_none_match)
    return known == ["*"] or etag.removeprefix("W/") in {tag.removeprefix("W/") for tag in known}
