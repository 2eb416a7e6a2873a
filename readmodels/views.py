"""Step 7b: query endpoints. An app's view names a read model and says who may read; the answer is the bytes as stored.

Nothing here or in a view derived from it runs SQL. Whoever asks comes as `request.user`, a principal of the app's own
making; the engine only hands it to `may_read` and `may_list`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, ClassVar, Unpack

from django.http import Http404, HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from readmodels import describing, http, parameters, schema, selection
from readmodels.declare import Collection, Document, Many
from readmodels.errors import WrongDeclaration
from readmodels.pages import measure_rows, page_body
from readmodels.query import Answer, Page, Seen, days, only_partition, reader, seen_ahead
from readmodels.query_view import Component, QueryView
from readmodels.waiting import Wish, oldest

MOST_DAYS = 366


class DocumentView(QueryView):
    """One document by the key in the address. What may not be read answers exactly like what does not exist."""

    read_model: ClassVar[type[Document]]
    # The address's variable that holds the key.
    key: ClassVar[str]
    # The entry of the body that holds the root row's version, where commands take one in If-Match.
    row_version: ClassVar[str | None] = None
    # Finds its number; inside of JSON text quotes are escaped, so only a key looks like this.
    _row_version: ClassVar[re.Pattern[bytes] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._row_version = None
        if (name := cls.row_version) is None:
            return
        if _entries(cls.read_model.body, name) != 1:
            raise WrongDeclaration(f"{cls.__name__}: row_version={name!r} must be one entry, not nested too")
        cls._row_version = re.compile(rb'"%s" ?: ?(\d+)' % name.encode())

    def get(self, request: Request, **address: Any) -> HttpResponse:
        """The document as stored, or what was chosen of it."""
        given = parameters.only(request, (selection.FIELDS,))
        chosen, wish = selection.parse(self.read_model, given.get(selection.FIELDS)), http.asked(request)
        key = self.key_of(request.user, address)
        answer = self.look(request.user, key, seen_ahead(request, self.read_model, key), **wish)
        if answer.body is None:
            raise Http404
        body = chosen.of(answer.body) if chosen else answer.body
        return self._respond(request, body, self.etag(answer, chosen), answer.freshness, wish)

    def look(self, principal: Any, key: Any, seen: Seen | None = None, **wish: Unpack[Wish]) -> Answer:
        """What the read model has for the principal; `seen`: what was read of it already."""

        def may_read(body: bytes) -> bool:
            return self.may_read(principal, key, body)

        return reader().document(self.read_model, key, may_read=may_read, seen=seen, **wish)

    def etag(self, answer: Answer, chosen: selection.Selection | None = None) -> str:
        """The ETag of what was found, or of what was chosen of it."""
        found = self._row_version.search(answer.body) if self._row_version and answer.body else None
        return http.document_etag(answer.version, found[1].decode() if found else None, chosen.mark if chosen else "")

    def key_of(self, principal: Any, address: Mapping[str, Any]) -> Any:
        """The document's key: of the address, unless a view has it from who asks."""
        return address[self.key]

    def may_read(self, principal: Any, key: Any, body: bytes) -> bool:
        """Whether the principal may read this document; called whenever it is found, again and again while it is waited
        for. Nobody may until a view says who.
        """
        return False

    def parameters(self, path: str) -> list[OpenApiParameter]:
        """The choice of entries."""
        return [describing.chosen_fields(self.read_model)]

    def answer(self, component: Component) -> dict[str, Any]:
        """The document, or a part of it."""
        return self._whole_or_part(self.read_model.__name__, component)


class PageView(QueryView):
    """A page of one partition of a collection, in the declared order or against it, with the partition's measures."""

    read_model: ClassVar[type[Collection]]
    # The variable of the address, or else the required parameter, that names the partition; none where all rows are in
    # one.
    partition: ClassVar[str] = ""

    def get(self, request: Request, **address: Any) -> HttpResponse:
        """The rows as stored, joined."""
        of, is_parameter = self.read_model, self._is_parameter(address)
        required = (self.partition,) if is_parameter else ()
        known = (*required, *of.filter_by, "cursor", "limit", selection.FIELDS, *(["sort"] if self._sorts() else []))
        given = parameters.only(request, known, required)
        partition = self._partition(given if is_parameter else address, is_parameter)
        filters = {name: parameters.choice(of, name, given[name]) for name in of.filter_by if name in given}
        chosen, is_reversed = selection.parse(of, given.get(selection.FIELDS)), self._is_reversed(given)
        limit, wish = parameters.limit(given.get("limit")), http.asked(request)
        if not self.may_list(request.user, partition):
            raise PermissionDenied if is_parameter else Http404
        page = reader().page(
            of, partition, filters, cursor=given.get("cursor"), limit=limit, is_reversed=is_reversed, **wish
        )
        body = page_body(page, of, chosen)
        return self._respond(request, body, http.content_etag(body), page.freshness, wish)

    def may_list(self, principal: Any, partition: Any) -> bool:
        """Whether the principal may list this partition; called before the read. Nobody may until a view says who."""
        return False

    def parameters(self, path: str) -> list[OpenApiParameter]:
        """The partition where the address lacks it, the filters, and what chooses the page."""
        of = self.read_model
        is_parameter = self._is_parameter(re.findall(r"{(\w+)}", path))
        named = [describing.choice(of, self.partition, True)] if is_parameter else []
        filters = [describing.choice(of, name, False) for name in of.filter_by]
        return [*named, *filters, *describing.paging(of), describing.chosen_fields(of)]

    def answer(self, component: Component) -> dict[str, Any]:
        """A page."""
        row = self._whole_or_part(f"{self.read_model.__name__}Row", component)
        return component(f"{self.read_model.__name__}Page", schema.page_schema(self.read_model, row))

    def _is_parameter(self, address: Any) -> bool:
        return only_partition(self.read_model) is None and self.partition not in address

    def _partition(self, named: Mapping[str, Any], is_parameter: bool) -> Any:
        if (only := only_partition(self.read_model)) is not None:
            return only
        value = named[self.partition]
        return parameters.choice(self.read_model, self.partition, value) if is_parameter else value

    def _sorts(self) -> list[str]:
        return parameters.sorts(self.read_model)

    def _is_reversed(self, given: Mapping[str, str]) -> bool:
        return parameters.is_reversed(self.read_model, given.get("sort"))


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

    def parameters(self, path: str) -> list[OpenApiParameter]:
        """The first and the last day."""
        return describing.span(required=True)

    def answer(self, component: Component) -> dict[str, Any]:
        """Rows of measures."""
        return component(self.read_model.__name__, schema.daily_schema(self.read_model))

    def _rows(self, span: list[date], pages: list[Page]) -> Iterator[dict[str, Any]]:
        for day, page in zip(span, pages, strict=True):
            for row in measure_rows(page, self.read_model):
                yield {"day": day.isoformat(), **row}


def _entries(body: Mapping[str, Any], name: str) -> int:
    """How many entries have this name, nested ones included."""
    nested = [value.body if isinstance(value, Many) else value for value in body.values()]
    return (name in body) + sum(_entries(inner, name) for inner in nested if isinstance(inner, Mapping))
