"""Step 7c: live updates of what a query answers. An app's view names the query; who may follow is who may ask.

The same addresses are served by two processes. The one that keeps streams open hands a request its hub and is given an
`Opening`; any other leads the client there. So no thread of the API is ever held, and errors are the same in both.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from django.http import Http404, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.exceptions import MethodNotAllowed, NotFound, ValidationError
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from readmodels import parameters, sse
from readmodels.api import ApiView
from readmodels.conf import conf
from readmodels.declare import Document
from readmodels.live import Hub
from readmodels.live_openapi import LAST_ID, LiveSchema
from readmodels.query import key_text, reader
from readmodels.streams import Follower, MayRead
from readmodels.topics import Topic
from readmodels.views import DocumentView, PageView

HUB = "readmodels.hub"  # in request.META, where no header can put anything
HEADERS = {
    "Content-Type": sse.MEDIA_TYPE,
    "Cache-Control": "no-store",
    "Vary": "Authorization",
    "X-Accel-Buffering": "no",  # nginx would keep updates back until it has some kilobytes
}


class NoLiveUpdates(NotFound):
    """This process keeps no streams open, and knows of none that does."""

    default_code = "no_live_updates"
    default_detail = "Live updates are not served at this address."


class EventStream(BaseRenderer):
    """What is answered, for the negotiation of media types; it renders nothing."""

    media_type = sse.MEDIA_TYPE
    format = "event-stream"
    charset = None


class Opening(StreamingHttpResponse):
    """The head of an answer that stays open; without a body of its own."""

    def __init__(self, follower: Follower) -> None:
        super().__init__((), headers=HEADERS)
        self.follower = follower

    def close(self) -> None:
        """Called once the client has left, or the answer was never begun."""
        super().close()
        self.follower.release()


class LiveView(ApiView):
    """Follows the document or partition of a query view, for whom that view answers."""

    schema = LiveSchema()
    renderer_classes = [EventStream]
    # Its key or partition is a variable of the address.
    query: ClassVar[type[DocumentView] | type[PageView]]

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Called before the method. Others than GET are refused before anybody is asked for: commands ask a table."""
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            raise MethodNotAllowed(request.method or "")
        super().initial(request, *args, **kwargs)

    @staticmethod
    def granted(grants: Sequence[Any]) -> Mapping[Any, Any]:
        """What each of these allows now: `request.auth` of open streams to a principal, or None where it has ended.

        Called every few seconds, in a thread, with some at a time. One of which nothing can be said is left out.
        """
        raise NotImplementedError

    def get(self, request: Request, **address: Any) -> HttpResponseBase:
        """Updates from now on, or from where the client was."""
        parameters.only(request, ())
        hub: Hub | None = request.META.get(HUB)
        if hub is None:
            return elsewhere(request)
        query = self.query()
        key = address[query.key if isinstance(query, DocumentView) else query.partition]
        topic = Topic(query.read_model, key_text(key))
        last_id = _last_id(request, topic)
        may_read = _document_rule(query, key) if isinstance(query, DocumentView) else _partition_rule(query, key)
        _require_readable(topic, request.user, may_read)
        if request.method == "HEAD":
            return HttpResponse(headers=HEADERS)
        release = hub.admit(request.user)
        return Opening(Follower(topic, request.user, request.auth, self.granted, may_read, last_id, release))


def elsewhere(request: Request) -> HttpResponse:
    """Leads to the process that serves live updates; raises NotFound where there is none."""
    url = conf().events_url
    if not url:
        raise NoLiveUpdates
    location = url.rstrip("/") + request.get_full_path()
    response = HttpResponse(status=307, headers={"Location": location, "Cache-Control": "no-store"})
    del response["Content-Type"]  # of nothing
    return response


def _last_id(request: Request, topic: Topic) -> str | None:
    given = request.headers.get(LAST_ID)
    if given and not topic.is_id(given):
        raise ValidationError({LAST_ID: ["The id of an update of this stream is accepted."]})
    return given or None


def _document_rule(query: DocumentView, key: Any) -> MayRead:
    return lambda principal, body: query.may_read(principal, key, body)


def _partition_rule(query: PageView, key: Any) -> MayRead:
    return lambda principal, _: query.may_list(principal, key)


def _require_readable(topic: Topic, principal: Any, may_read: MayRead) -> None:
    """Raises what the query would raise: Http404 for what is not there or not the principal's, StoreUnavailable."""
    if issubclass(topic.of, Document):
        if reader().document(topic.of, topic.key, may_read=partial(may_read, principal)).body is None:
            raise Http404
        return
    if not may_read(principal, b""):
        raise Http404
    reader().measures(topic.of, [topic.key])
