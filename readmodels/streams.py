"""One open answer of live updates: how far its client has come, and why it ends.

A stream has no queue: it holds the id that it has come as far as, and takes from the newest state what it lacks. So a
slow client costs no memory, and gets the newest state when it comes to it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from secrets import randbelow
from typing import Any

from readmodels import sse
from readmodels.conf import conf
from readmodels.topics import DocumentState, State, Topic

# What a grant (`request.auth`) allows now: a principal, or None where it has ended. Grants of which nothing can be said
# are left out.
Granted = Callable[[Sequence[Any]], Mapping[Any, Any]]
# Whether a principal may read this: a document's body, or b"" for a partition, of which the rule knows the key.
MayRead = Callable[[Any, bytes], bool]

# Why a stream ends, as the client is told.
GONE = "gone"  # deleted, or not the client's to read any more
SIGNED_OUT = "signed_out"
UNAVAILABLE = "unavailable"
OVER = "over"  # open for long enough, or the process stops: ask again


@dataclass(frozen=True)
class Follower:
    """Who asks to follow what, and how far they have come. `release` gives back what was admitted."""

    topic: Topic
    principal: Any
    grant: Any
    granted: Granted
    may_read: MayRead
    last_id: str | None
    release: Callable[[], None]


@dataclass
class Followed:
    """A topic that at least one stream follows. `unsaid_since`: since when nothing can be said of it."""

    state: State | None = None
    unsaid_since: float | None = None
    streams: "set[Stream]" = field(default_factory=set)

    def update(self, state: State | None, now: float) -> None:
        """It is found to be so; None: nothing can be said of it."""
        if state is None:
            self.unsaid_since = self.unsaid_since or now
            return
        self.unsaid_since = None
        if state is not self.state:
            self.state = state
            for stream in self.streams:
                stream.wake.set()


class Stream:
    """One open answer: how far its client has come, and whether it is over."""

    def __init__(self, follower: Follower, followed: Followed, now: float) -> None:
        self.follower = follower
        self.wake = asyncio.Event()
        self._principal = follower.principal
        self._confirmed_at = now
        # Not all at once: they may all have begun together.
        self._over_at = now + conf().live_stream_seconds * (90 + randbelow(10)) / 100
        self._followed = followed
        self._last_id = follower.last_id
        self._judged: State | None = None
        self._reason: str | None = None

    def end(self, reason: str) -> None:
        """The client is told so next, and nothing more."""
        self._reason = self._reason or reason
        self.wake.set()

    def take(self) -> tuple[bytes, bool]:
        """(what is to be sent now, whether it is the last)."""
        self.wake.clear()
        state = self._followed.state
        if self._reason is None and state is not None and self._judged is not state:
            self._judged = state
            if self._may_read(state):
                return self._updates(state), False
            self._reason = GONE
        if self._reason is not None:
            return sse.facts("end", reason=self._reason), True
        return b"", False

    def _may_read(self, state: State) -> bool:
        body = state.body if isinstance(state, DocumentState) else b""
        return body is not None and self.follower.may_read(self._principal, body)

    def _updates(self, state: State) -> bytes:
        updates = state.since(self._last_id)
        if updates:
            self._last_id = updates[-1][0]
        return b"".join(update for _, update in updates)

    def confirm(self, principal: Any, now: float) -> None:
        """Who follows is this now, and is judged anew if that is another; None: it ends."""
        if principal is None:
            self.end(SIGNED_OUT)
            return
        self._confirmed_at = now
        if principal != self._principal:
            self._principal, self._judged = principal, None
            self.wake.set()

    def judge(self, now: float) -> None:
        """It ends if it is over, or if nothing was known of its topic, or of who follows, for too long."""
        patience = conf().live_patience_seconds
        unsaid_since = self._followed.unsaid_since
        is_unsaid = unsaid_since is not None and now - unsaid_since > patience
        if is_unsaid or now - self._confirmed_at > patience + conf().live_recheck_seconds:
            self.end(UNAVAILABLE)
        elif now >= self._over_at:
            self.end(OVER)
