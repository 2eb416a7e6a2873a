"""All documents of a read model in one streamed answer: memory stays flat, however many there are and however slowly
they are read. Who stops reading ends it; what fails half-way breaks the connection off.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import structlog
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from readmodels import describing, http, lines, parameters, schema
from readmodels.breaking_off import break_off
from readmodels.errors import ExportUnderWay
from readmodels.query import reader
from readmodels.query_view import Component, QueryView
from readmodels.waiting import Wish
from readmodels.walking_days import Walk

log = structlog.get_logger()

# Sent as text by itself; the first is the usual one.
MEDIA_TYPES = {"ndjson": "application/x-ndjson", "csv": "text/csv"}


class _Ndjson(BaseRenderer):
    """Stands for the media type when REST framework reads Accept; nothing is rendered by it."""

    media_type, format = MEDIA_TYPES["ndjson"], "ndjson"


class _Csv(BaseRenderer):
    """The same for CSV."""

    media_type, format = MEDIA_TYPES["csv"], "csv"


class ExportView(QueryView):
    """Documents one per line, as NDJSON or CSV, chosen by `format` or else by Accept."""

    renderer_classes = (_Ndjson, _Csv)
    walk: ClassVar[Walk]
    # The columns of CSV: the name in the header, the dotted path of the entry.
    columns: ClassVar[Mapping[str, str]]
    # The file's name, without its ending.
    file_name: ClassVar[str]

    def get(self, request: Request) -> HttpResponseBase:
        """The documents of the days asked for, each as it is when its turn comes."""
        given = parameters.only(request, ("format", "from", "to"))
        name = self._format(request, given.get("format"))
        first, last = parameters.open_days(given.get("from"), given.get("to"))
        # Nothing in the file could mark what is stale; a preference may be ignored (RFC 7240).
        wish = Wish(**{**http.asked(request), "is_stale_fine": False})
        if not self.may_export(request.user):
            raise PermissionDenied
        if request.method == "HEAD":
            return self._described(HttpResponse(), name)
        turn = Turn()
        try:
            pages = self.walk.pages(reader(), first, last, wish)
            # Read before anything is answered, so that what fails at once is a proper error.
            begin = next(pages, [])
            body = _Body(self._chunks(name, begin, pages), request.META, turn.give_back)
            return self._described(StreamingHttpResponse(body), name)
        except BaseException:
            turn.give_back()
            raise

    def may_export(self, principal: Any) -> bool:
        """Whether the principal may read all of it; called before the first read. Nobody may until a view says who."""
        return False

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Called by REST framework; what Accept says doesn't matter to who names a format."""
        return super().perform_content_negotiation(request, force=force or "format" in request.GET)

    def _format(self, request: Request, named: str | None) -> str:
        if named is not None and named not in MEDIA_TYPES:
            raise ValidationError({"format": [f"{' or '.join(MEDIA_TYPES)} is accepted."]})
        return named or str(request.accepted_renderer.format)

    def _chunks(self, name: str, begin: list[bytes], pages: Iterable[list[bytes]]) -> Iterator[bytes]:
        def encoded(bodies: list[bytes]) -> bytes:
            return lines.csv_rows(bodies, self.columns) if name == "csv" else lines.ndjson(bodies)

        if name == "csv":
            yield lines.csv_header(self.columns)
        yield encoded(begin)
        yield from map(encoded, pages)

    def _described(self, response: HttpResponseBase, name: str) -> HttpResponseBase:
        response["Content-Type"] = f"{MEDIA_TYPES[name]}; charset=utf-8"
        response["Content-Disposition"] = f'attachment; filename="{self.file_name}.{name}"'
        response["Cache-Control"] = "no-store"
        response["Vary"] = "Authorization, Accept"
        return response

    # For the API document

    def operation(self) -> str:
        """The read model's name, and that it is an export."""
        return f"{self.read_model.__name__}Export"

    def describe(self) -> str:
        """What the view says of itself, and how to know that all of it came."""
        ended = "What fails half-way breaks the connection off: a file that came to its end is whole."
        return f"{(type(self).__doc__ or '').strip()}\n\n{ended}"

    def parameters(self, path: str) -> list[OpenApiParameter]:
        """The days and the format."""
        kind = {"type": "string", "enum": list(MEDIA_TYPES)}
        return [describing.query("format", kind, "In place of Accept."), *describing.span(required=False)]

    def all_headers(self) -> list[OpenApiParameter]:
        """Only those that say what an answer must show; each page of it must."""
        return describing.wishes()

    def responses(self, component: Component) -> dict[Any, OpenApiResponse]:
        """Either format."""
        document = component(self.read_model.__name__, schema.json_schema(self.read_model))
        described = {"ndjson": document, "csv": describing.TEXT}
        return {
            (200, media_type): OpenApiResponse(described[name], description="One document per line.")
            for name, media_type in MEDIA_TYPES.items()
        }


class _Body:
    """The chunks of a streamed answer; `close`, which the server calls however it ends, gives the turn back."""

    def __init__(self, chunks: Iterator[bytes], environ: Mapping[str, Any], done: Callable[[], None]) -> None:
        self._chunks = chunks
        self._environ = environ
        self._done = done

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._chunks)
        except StopIteration:
            raise
        except Exception as error:
            connections = break_off(self._environ)
            log.warning("export_broken_off", reason=repr(error), connections=connections)
            raise

    def close(self) -> None:
        """Called by Django when the answer is over or given up."""
        self._done()

    # Where a server drops an answer before it has begun, nobody else would.
    __del__ = close


class Turn:
    """The right to export, which one answer has at a time in each process."""

    _lock = threading.Semaphore(1)

    def __init__(self) -> None:
        """Raises ExportUnderWay where another has it."""
        self._is_had = self._lock.acquire(blocking=False)
        if not self._is_had:
            raise ExportUnderWay("one export at a time")

    def give_back(self) -> None:
        """Another may have it; done twice, it is done once."""
        if self._is_had:
            self._is_had = False
            self._lock.release()
