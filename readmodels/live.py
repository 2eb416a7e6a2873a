"""Live updates: all streams of one process, each kept at the newest state of what it follows.

One task looks at all topics, each once however many streams follow it, and asks every few seconds whether who follows
still may. It waits for Redis in a thread, and for nobody else.
"""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Any, TypeVar

import structlog

from readmodels.conf import conf
from readmodels.errors import ReadModelError, TooManyStreams, TooManyStreamsOfOne
from readmodels.looking import FETCHED_AT_ONCE, in_parts, keep, look
from readmodels.query import Reader
from readmodels.store import Store
from readmodels.streams import OVER, Followed, Follower, Granted, Stream
from readmodels.topics import Topic

log = structlog.get_logger()

T = TypeVar("T")


class Hub:
    """All streams of one process. All but `admit` and what it hands out is called in the event loop alone."""

    def __init__(self, store: Store, reader: Reader, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._reader = reader
        self._clock = clock
        self._topics: dict[Topic, Followed] = {}
        self._asked = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "look")
        self._lock = Lock()
        self._admitted: Counter[Hashable] = Counter()
        self._is_stopping = False

    def admit(self, principal: Hashable) -> Callable[[], None]:
        """There is room for one more stream of this principal until what is returned is called.

        Raises TooManyStreams or TooManyStreamsOfOne. Called in any thread.
        """
        with self._lock:
            if self._is_stopping or self._admitted.total() >= conf().live_streams:
                raise TooManyStreams("no room for another stream")
            if self._admitted[principal] >= conf().live_streams_per_principal:
                raise TooManyStreamsOfOne("no room for another stream of this principal")
            self._admitted[principal] += 1

        def release() -> None:
            with self._lock:
                self._admitted[principal] -= 1
                if not self._admitted[principal]:
                    del self._admitted[principal]

        return release

    def open(self, follower: Follower) -> Stream:
        """A stream that is kept up to date until it is closed."""
        followed = self._topics.setdefault(follower.topic, Followed())
        stream = Stream(follower, followed, self._clock())
        followed.streams.add(stream)
        if self._is_stopping:
            stream.end(OVER)
        self._asked.set()
        return stream

    def close(self, stream: Stream) -> None:
        """Nobody waits for this stream any more."""
        topic = stream.follower.topic
        followed = self._topics[topic]
        followed.streams.discard(stream)
        if not followed.streams:
            del self._topics[topic]

    def stop(self) -> None:
        """Every client is told to ask again, elsewhere or later; no stream is opened any more."""
        self._is_stopping = True
        for stream in self._streams():
            stream.end(OVER)

    async def run(self) -> None:
        """Looks at everything that is followed, again and again, until it is cancelled."""
        recheck_at = keep_at = self._clock()
        while True:
            await self._pause()
            await self._look()
            if self._clock() >= recheck_at:
                recheck_at = self._clock() + conf().live_recheck_seconds
                await self._recheck()
            if self._clock() >= keep_at:
                keep_at = self._clock() + conf().live_recent_seconds / 4
                await self._attempt(partial(keep, self._store, self._reader, list(self._topics)))

    async def _pause(self) -> None:
        """Until the next look is due, or the first, or somebody follows something that is not known yet."""
        if not self._topics:
            await self._asked.wait()
        elif not self._asked.is_set():
            try:
                await asyncio.wait_for(self._asked.wait(), conf().live_poll_seconds)
            except TimeoutError:
                return
        await asyncio.sleep(conf().live_poll_seconds / 10)  # for those who come at the same time
        self._asked.clear()

    async def _look(self) -> None:
        known = {topic: followed.state for topic, followed in self._topics.items()}
        found = await self._attempt(partial(look, self._store, self._reader, known))
        for topic in known.keys() & self._topics.keys():
            state = None if found is None else found.get(topic, known[topic])
            self._topics[topic].update(state, self._clock())

    async def _recheck(self) -> None:
        """Whoever signed out is told so; whoever may less than before is judged anew."""
        grants: dict[Granted, dict[Any, list[Stream]]] = defaultdict(lambda: defaultdict(list))
        for stream in self._streams():
            grants[stream.follower.granted][stream.follower.grant].append(stream)
        for granted, streams in grants.items():
            for some in in_parts(list(streams), FETCHED_AT_ONCE):
                for grant, principal in (await self._attempt(partial(granted, some)) or {}).items():
                    for stream in streams[grant]:
                        stream.confirm(principal, self._clock())
        for stream in self._streams():
            stream.judge(self._clock())

    async def _attempt(self, ask: Callable[[], T]) -> T | None:
        """What was found, in a thread, since it waits for Redis; None where it can't be said."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, ask)
        except ReadModelError as error:
            log.warning("unavailable", reason=str(error))
        except Exception:  # a mistake of this program must not leave all streams open and silent
            log.exception("look_failed")
        return None

    def _streams(self) -> list[Stream]:
        return [stream for followed in self._topics.values() for stream in followed.streams]
