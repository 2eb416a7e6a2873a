"""Serves live updates: an ASGI application that asks a view who may follow what, as any request is asked, and keeps the
answer open.

A client that takes nothing for a while is dropped; a process that is to stop tells every client first.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO
from secrets import randbelow
from typing import Any

import structlog
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.http import HttpResponseBase, StreamingHttpResponse

from readmodels import sse
from readmodels.conf import conf
from readmodels.live import Hub
from readmodels.live_views import HUB, Opening
from readmodels.query import Reader
from readmodels.sockets import cut
from readmodels.store import Store
from readmodels.streams import Stream

log = structlog.get_logger()

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

# Whether a client may follow something takes a millisecond or two; more threads would only contend.
THREADS = 4
# Clients that lost their streams together don't come back together.
RETRY_MS = (1000, 3000)


class LiveServer:
    """`urlconf` has the routes that are served here, and no others."""

    def __init__(self, urlconf: str) -> None:
        self._urlconf = urlconf
        self._handler = BaseHandler()
        self._handler.load_middleware()
        self._threads = ThreadPoolExecutor(THREADS, "connect")
        self._hub: Hub | None = None
        self._running: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Called by the server, once for its life and once for each request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._respond(scope, receive, send)

    def hub(self) -> Hub:
        """The hub, at work; begun by whatever comes first."""
        if self._hub is None:
            self._hub = Hub(Store(), Reader(Store()))
            self._running = asyncio.get_running_loop().create_task(self._hub.run())
            self._running.add_done_callback(self._ended)
        return self._hub

    def _ended(self, running: "asyncio.Task[None]") -> None:
        """By a mistake of this program only; clients ask again, and find another hub."""
        if not running.cancelled():
            log.error("hub_ended", exc_info=running.exception())
        self.hub().stop()
        self._hub = None

    # The process

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                _before_signals(asyncio.get_running_loop(), self.hub().stop)
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                self.hub().stop()
                return

    # One request

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = partial(self._answer, scope, self.hub())
        response = await asyncio.get_running_loop().run_in_executor(self._threads, answer)
        try:
            await send({"type": "http.response.start", "status": response.status_code, "headers": _headers(response)})
            if isinstance(response, Opening):
                await self._stream(response, scope, receive, send)
            else:
                await send({"type": "http.response.body", "body": _body(response)})
        finally:
            response.close()

    def _answer(self, scope: Scope, hub: Hub) -> HttpResponseBase:
        """What the view answers, with all that stands before views."""
        request = ASGIRequest(scope, BytesIO())
        request.urlconf = self._urlconf
        request.META[HUB] = hub
        return self._handler.get_response(request)

    async def _stream(self, opening: Opening, scope: Scope, receive: Receive, send: Send) -> None:
        stream = self.hub().open(opening.follower)
        left = asyncio.create_task(_until_left(receive))
        left.add_done_callback(lambda _: stream.wake.set())
        try:
            await _put(send, sse.retry(RETRY_MS[0] + randbelow(RETRY_MS[1] - RETRY_MS[0])))
            await _feed(stream, left, send)
        except TimeoutError:
            log.warning("slow_client_dropped", path=scope["path"])
            cut(scope.get("client"))
        finally:
            left.cancel()
            self.hub().close(stream)


async def _feed(stream: Stream, left: "asyncio.Task[None]", send: Send) -> None:
    """Updates are sent as they come, and a comment now and then, until the stream is over or the client has left."""
    while not left.done():
        update, is_last = stream.take()
        if update:
            await _put(send, update)
        if is_last:
            await send({"type": "http.response.body", "body": b""})
            return
        try:
            await asyncio.wait_for(stream.wake.wait(), conf().live_heartbeat_seconds)
        except TimeoutError:
            await _put(send, sse.HEARTBEAT)


async def _put(send: Send, data: bytes) -> None:
    """The client, or what lies between, has room for this; raises TimeoutError where it has none for too long."""
    await asyncio.wait_for(_sent(send, data), conf().live_send_seconds)


async def _sent(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    found = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.items()]
    return found + [(b"set-cookie", cookie.OutputString().encode()) for cookie in response.cookies.values()]


def _body(response: Any) -> bytes:
    if isinstance(response, StreamingHttpResponse):
        return b"".join(response.streaming_content)  # type: ignore[arg-type]  # handlers in threads are synchronous
    return bytes(response.content)


def _before_signals(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """`call` goes before what the server does on a signal to stop.

    Granian has set its handlers before the application starts, and waits for open answers: without this, only its time
    limit would end the process. asyncio has no public way to ask for a handler that is set; where none is found, the
    server's time limit it is.
    """
    handlers = getattr(loop, "_signal_handlers", {})
    for number in (signal.SIGTERM, signal.SIGINT):
        if before := handlers.get(number):
            loop.add_signal_handler(number, _both, call, before._run)


def _both(first: Callable[[], object], second: Callable[[], object]) -> None:
    first()
    second()
