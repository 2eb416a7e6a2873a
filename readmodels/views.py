"""Step 7b: query endpoints. An app's view names a read model and says who may read; the answer is the bytes as stored.

Nothing here or in a view derived from it runs SQL. Whoever asks comes as `request.user`, a principal of the app's own
making; the engine only hands it to `may_read` and `may_list`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, ClassVar

from django.http import Http404, HttpResponse
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from readmodels import http, parameters
from readmodels.api import ApiView
from readmodels.declare import Collection, Document, Many, ReadModel
from readmodels.errors import WrongDeclaration
from readmodels.openapi import QuerySchema
from readmodels.pages import measure_rows, page_body
from readmodels.query import Page, days, reader
from readmodels.waiting import Freshness, Wish, oldest

MOST_DAYS = 366


class QueryView(ApiView):
    """Answers GET from one read model; combined with a command view where both share an address."""

    schema = QuerySchema()
    read_model: ClassVar[type[ReadModel]]
    # The operation's name in the API document; else the read model's, which stands for one operation only.
    operation: ClassVar[str | None] = None
    # How long shared stores may keep a public answer.
    public_seconds: ClassVar[int] = 5

    def _respond(self, request: Request, body: bytes, etag: str, freshness: Freshness, wish: Wish) -> HttpResponse:
        public_seconds = self.public_seconds if request.method in self.public_methods else None
        return http.respond(request, body, etag, freshness, wish, public_seconds)


class DocumentView(QueryView):
    """One document by the key in the address. What may not be read answers exactly like what does not exist."""

    read_model: ClassVar[type[Document]]
    # The address's variable that holds the key.
    key: ClassVar[str]
    # The entry of the body that holds the root row's version, where commands take one in If-Match.
    row_version: ClassVar[str | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.row_version is not None and _entries(cls.read_model.body, cls.row_version) != 1:
            raise WrongDeclaration(f"{cls.__name__}: row_version={cls.row_version!r} must be one entry, not nested too")

    def get(self, request: Request, **address: Any) -> HttpResponse:
        """The document as stored."""
        parameters.only(request, ())
        wish = http.asked(request)
        key = self.key_of(request.user, address)

        def may_read(body: bytes) -> bool:
            return self.may_read(request.user, key, body)

        answer = reader().document(self.read_model, key, may_read=may_read, **wish)
        if answer.body is None:
            raise Http404
        etag = http.document_etag(answer.version, self._row_version(answer.body))
        return self._respond(request, answer.body, etag, answer.freshness, wish)

    def key_of(self, principal: Any, address: Mapping[str, Any]) -> Any:
        """The document's key: of the address, unless a view has it from who asks."""
        return address[self.key]

    def may_read(self, principal: Any, key: Any, body: bytes) -> bool:
        """Whether the principal may read this document; called whenever it is found, again and again while it is waited
        for. Nobody may until a view says who.
        """
        return False

    def _row_version(self, body: bytes) -> str | None:
        if self.row_version is None:
            return None
        # Inside of JSON text quotes are escaped, so only a key looks like this, and there is only one.
        found = re.search(rb'"%s" ?: ?(\d+)' % self.row_version.encode(), body)
        return found[1].decode() if found else None


class PageView(QueryView):
    """A page of one partition of a collection, newest or first first, with the partition's measures."""

    read_model: ClassVar[type[Collection]]
    # The variable of the address, or else the required parameter, that names the partition.
    partition: ClassVar[str]

    def get(self, request: Request, **address: Any) -> HttpResponse:
        """The rows as stored, joined."""
        is_in_address = self.partition in address
        given = parameters.only(request, self.parameters(is_in_address), () if is_in_address else (self.partition,))
        partition = address[self.partition] if is_in_address else self._choice(self.partition, given)
        filters = {name: self._choice(name, given) for name in self.read_model.filter_by if name in given}
        limit, wish = parameters.limit(given.get("limit")), http.asked(request)
        if not self.may_list(request.user, partition):
            raise Http404 if is_in_address else PermissionDenied
        page = reader().page(self.read_model, partition, filters, cursor=given.get("cursor"), limit=limit, **wish)
        body = page_body(page, self.read_model)
        return self._respond(request, body, http.content_etag(body), page.freshness, wish)

    def parameters(self, is_in_address: bool) -> tuple[str, ...]:
        """The names of the parameters that the page takes."""
        return (*(() if is_in_address else (self.partition,)), *self.read_model.filter_by, "cursor", "limit")

    def may_list(self, principal: Any, partition: Any) -> bool:
        """Whether the principal may list this partition; called before the read. Nobody may until a view says who."""
        return False

    def _choice(self, name: str, given: dict[str, str]) -> str:
        return parameters.choice(self.read_model, name, given[name])


class DailyView(QueryView):
    """The measures of a collection with a partition per day, from one day to another, per filter value."""

    read_model: ClassVar[type[Collection]]

    def get(self, request: Request) -> HttpResponse:
        """One row per day and filter value that has anything."""
        given = parameters.only(request, ("from", "to"), required=("from", "to"))
        span = days(*parameters.days(given["from"], given["to"], MOST_DAYS))
        wish = http.asked(request)
        if not self.may_list(request.user):
            raise PermissionDenied
        pages = reader().measures(self.read_model, span, **wish)
        body = json.dumps({"results": list(self._rows(span, pages))}).encode()
        return self._respond(request, body, http.content_etag(body), oldest([page.freshness for page in pages]), wish)

    def may_list(self, principal: Any) -> bool:
        """Whether the principal may read these measures; called before the read. Nobody may until a view says who."""
        return False

    def _rows(self, span: list[date], pages: list[Page]) -> Iterator[dict[str, Any]]:
        for day, page in zip(span, pages, strict=True):
            for row in measure_rows(page, self.read_model):
                yield {"day": day.isoformat(), **row}


def _entries(body: Mapping[str, Any], name: str) -> int:
    """How many entries have this name, nested ones included."""
    nested = [value.body if isinstance(value, Many) else value for value in body.values()]
    return (name in body) + sum(_entries(inner, name) for inner in nested if isinstance(inner, Mapping))
