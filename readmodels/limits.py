"""How often something may be done. What is allowed is checked and counted in one script by Redis's own clock, so that
of 100 at once exactly as many pass as are allowed; of several limits all give one, or none does.

All limits lie in one slot, since one script takes from several of them; each expires once it is whole again. Nothing of
a read model is here: a scan for those passes limits by.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import structlog

from readmodels import keys
from readmodels.errors import ReadModelError
from readmodels.values import Call

log = structlog.get_logger()

# So long nobody asks a Redis that did not answer: every command would wait for it.
PAUSE_SECONDS = 5.0
# So many are taken ahead, and kept for so long.
MOST_AHEAD = 32
AHEAD_SECONDS = 0.1


@dataclass(frozen=True)
class Limit:
    """So often in so many seconds, in any rhythm. `name` is what clients know it by, `of` what it counts for."""

    name: str
    of: str
    most: int
    seconds: int

    @cached_property
    def key(self) -> str:
        """Where it is kept."""
        return keys.limit(self.name, self.of)

    def state(self, whole_in: int) -> str:
        """What is left of it where it is whole again after so many microseconds, as the header RateLimit has it."""
        left = max((self.all_microseconds - whole_in) // self.one_microseconds, 0)
        return f'"{self.name}";r={left};t={-(-whole_in // 1_000_000)}'

    @cached_property
    def one_microseconds(self) -> int:
        """After so long one is back."""
        return max(self.seconds * 1_000_000 // self.most, 1)

    @cached_property
    def all_microseconds(self) -> int:
        """After so long all are back."""
        return self.one_microseconds * self.most


class Limits(tuple[Limit, ...]):
    """Limits that a request takes from together."""

    @cached_property
    def policy(self) -> str:
        """The limits as the header RateLimit-Policy has them."""
        return ", ".join(f'"{limit.name}";q={limit.most};w={limit.seconds}' for limit in self)


class Taken(NamedTuple):
    """Whether each of the limits has given one; if not, in how many seconds they can. None has given any then."""

    limits: Limits
    is_taken: bool
    retry_in_seconds: int
    # What was left of the limits then, as the header RateLimit has it.
    state: str


NOTHING_TAKEN = Taken(Limits(), True, 0, "")


def taken(limits: Limits, answer: Sequence[int]) -> Taken:
    """The first of those that the script took, or the refusal, by what it answers: how many it took; then for each
    limit the microseconds until it is whole, and until it can give one.
    """
    more = max(answer[0] - 1, 0)
    pairs = zip(limits, answer[1::2], strict=True)
    state = ", ".join(limit.state(whole_in - more * limit.one_microseconds) for limit, whole_in in pairs)
    return Taken(limits, answer[0] > 0, -(-max(answer[2::2], default=0) // 1_000_000), state)


class Allowance:
    """What a process has taken ahead from the limits of an asker who asks again and again: most requests then cost
    Redis no script. The first of a burst takes one, the next two, and so on up to MOST_AHEAD, but never more than a
    sixteenth of what is left, so that one who comes near a limit is counted one by one, over all processes.

    What is not used within AHEAD_SECONDS is lost to the asker, until the limits have refilled. All that were taken at
    once tell what was left after the first. Shared by threads.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: list[Taken] = []
        self._until = 0.0
        self._wanted = 1

    def use(self) -> Taken | None:
        """One that was taken ahead; None: it is to be taken now, `wanted` of them."""
        try:
            return self._kept.pop() if self._clock() < self._until else None
        except IndexError:
            return None

    @property
    def wanted(self) -> int:
        """How many are to be taken at once; twice as many if what was taken last is used up in time."""
        self._wanted = min(2 * self._wanted, MOST_AHEAD) if self._clock() < self._until else 1
        return self._wanted

    def keep(self, limits: Limits, answer: Sequence[int]) -> Taken:
        """One of those that a call has taken; the others are kept for later."""
        now, first = self._clock(), taken(limits, answer)
        later = [first] * (answer[0] - 1)
        if now < self._until:
            self._kept += later  # beside what another thread has taken meanwhile
        else:
            self._kept = later
        self._until = now + AHEAD_SECONDS
        return first


def take_call(limits: Sequence[Limit], most: int = 1) -> Call:
    """The call that takes one of each limit, or so many; to be sent beside other calls in the same round trip, too."""
    times = [time for limit in limits for time in (limit.one_microseconds, limit.all_microseconds)]
    return "take", [limit.key for limit in limits], [most, *times]


def give_back_call(limits: Sequence[Limit], *, is_all: bool) -> Call:
    """The call that gives one back to each limit, or all that was taken."""
    times = [limit.all_microseconds if is_all else limit.one_microseconds for limit in limits]
    return "give_back", [limit.key for limit in limits], times


class Patience:
    """Asks Redis, and leaves it alone for a while once it did not answer; shared by the threads of a process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._closed_until = 0.0

    @property
    def is_closed(self) -> bool:
        """Whether Redis is left alone now."""
        return bool(self._closed_until) and self._clock() < self._closed_until

    def renew(self) -> None:
        """Redis is asked again at once."""
        self._closed_until = 0.0

    def ask(self, work: Callable[[], Any]) -> Any:
        """What the work returned; None where Redis can't say now, which is logged once in a while."""
        if self.is_closed:
            return None
        try:
            return work()
        except ReadModelError as error:
            self._closed_until = self._clock() + PAUSE_SECONDS
            log.warning("limits_not_kept", reason=str(error), pause_seconds=PAUSE_SECONDS)
            return None


patience = Patience()
