"""Step 7a: what a query's answer must show, whether it does, and how long that is waited for.

One loop for consistency tokens and for a greatest staleness: what was read is judged by the progress beside it and, for
a document, by the document's own stamp. No database is asked.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, TypedDict, TypeVar

from readmodels import consistency
from readmodels.conf import conf
from readmodels.consistency import Progress, Stamp, Token
from readmodels.errors import CannotSay, NotYet, StoreLost, TooStale

T = TypeVar("T")

POLL_SECONDS = (0.002, 0.005, 0.01, 0.02)  # the first waits are short: commit to visible takes some 5 ms

# Looks take some 25 ms, so a bound below this is met by chance; it is not waited for, or each request that names one
# would hold a thread for as long as it likes.
LEAST_AWAITED_SECONDS = 0.1


class Wish(TypedDict, total=False):
    """What an answer must show, and what becomes of one that doesn't in time. Any entry may be left out."""

    # The write, or all the writes, that it includes.
    token: Token | Sequence[Token] | None
    # It shows everything that had committed longer ago than this when it was read.
    max_stale_seconds: float | None
    # How long to wait for that; None: as long as usual.
    wait_seconds: float | None
    # An answer that doesn't show it in time will do, marked as stale; else there is none.
    is_stale_fine: bool


class Freshness(NamedTuple):
    """How new an answer is: it shows everything that had committed `lag_seconds` before `as_of`.

    `version`: of the document, or of what is known of the read model where the answer is no single document.
    `is_stale`: it lacks something that was wished for, or the newest state of what could not be built.
    """

    as_of: datetime
    lag_seconds: float
    version: str
    is_stale: bool = False


class Lack(NamedTuple):
    """Why an answer doesn't show what was wished for, and whether waiting may help."""

    error: NotYet
    may_come: bool = True


class Judged(NamedTuple):
    """What can be said of something read: how new it is, and what it lacks."""

    freshness: Freshness
    is_parked: bool
    lack: Lack | None


class Judge(NamedTuple):
    """Judges what was read of a read model. `known`: progress that was read before, from whichever bucket.

    What that one had applied was in the store already, so the newer one of it and the bucket's own holds.
    """

    read_model: str
    wish: Wish
    now: Callable[[], float]
    known: Progress | None = None

    def __call__(self, kept: bytes | None, key: str | None = None, built: Stamp | None = None) -> Judged:
        """What to say of an answer; `kept`: its bucket's progress, `key`: its root row's, if it speaks of one alone.

        Raises StoreLost while the bucket is being filled, or the read model mended.
        """
        progress = progress_of(kept, self.read_model)
        if self.known is not None:
            # Of one version when nothing has changed between; then the later look tells more.
            progress = max(progress, self.known, key=lambda each: (each.stamp.version, each.stamp.at))
        is_parked = progress.is_parked(self.read_model, key, built)
        lack = self._lack_of_tokens(progress, built) or self._lack_of_time(progress, built, is_parked)
        lag_seconds = progress.lag_seconds(self.read_model)
        version = (built or progress.stamp).version
        freshness = Freshness(progress.stamp.at, lag_seconds, version, is_stale=is_parked or lack is not None)
        return Judged(freshness, is_parked, lack)

    def _lack_of_tokens(self, progress: Progress, built: Stamp | None) -> Lack | None:
        tokens = tokens_of(self.wish)
        try:
            if not tokens or all(progress.includes(token, self.read_model, built) for token in tokens):
                return None
        except CannotSay as error:
            return Lack(error, may_come=False)
        return Lack(NotYet(f"the write is not in {self.read_model}"))

    def _lack_of_time(self, progress: Progress, built: Stamp | None, is_parked: bool) -> Lack | None:
        most = self.wish.get("max_stale_seconds")
        if most is None:
            return None
        if is_parked:
            # When the parked write was made is not known any more, and nothing comes before somebody mends it.
            return Lack(TooStale(f"something parked is not in {self.read_model}"), may_come=False)
        # PostgreSQL's clock may be ahead of this one.
        stale_seconds = max(0.0, self.now() - progress.shown_until(self.read_model, built))
        if stale_seconds <= most:
            return None
        error = TooStale(f"{self.read_model} was {stale_seconds:.3f} s stale, not {most:g} s")
        return Lack(error, may_come=most >= LEAST_AWAITED_SECONDS)


def until_shown(
    read: Callable[[Judge], tuple[T, Lack | None]],
    judge: Callable[[Progress | None], Judge],
    first_progress: Callable[[], Progress],
    wish: Wish,
    clock: Callable[[], float],
) -> T:
    """What `read` gives once it lacks nothing; or, once the wait is over, as it is if that is fine. Else raises NotYet.

    The first bucket's progress is written by every drain, the others' by each sweep: where the bucket at hand can't
    tell yet, the first one may; what is read after it said so shows as much.
    """
    begun = clock()
    known: Progress | None = None
    attempt = 0
    while True:
        found, lack = read(judge(known))
        if lack is None:
            return found
        seconds = wait_seconds(wish)
        if not lack.may_come or (known is not None and clock() >= begun + seconds):
            if wish.get("is_stale_fine"):
                return found
            raise type(lack.error)(f"{lack.error} after {seconds:g} s") if lack.may_come else lack.error
        if known is not None:
            time.sleep(POLL_SECONDS[min(attempt, len(POLL_SECONDS) - 1)])
            attempt += 1
        known = first_progress()


def wait_seconds(wish: Wish) -> float:
    """How long an answer to this wish is waited for."""
    seconds = wish.get("wait_seconds")
    return conf().default_wait_seconds if seconds is None else min(seconds, conf().max_wait_seconds)


def tokens_of(wish: Wish) -> Sequence[Token]:
    """The tokens of a wish, however many."""
    token = wish.get("token")
    if token is None:
        return ()
    return (token,) if isinstance(token, Token) else token


def progress_of(kept: bytes | None, read_model: str) -> Progress:
    """The progress as kept; raises StoreLost where it says that the read model may not be read."""
    if kept is None:
        raise StoreLost("the bucket is being filled")
    progress = consistency.parse_progress(kept)
    if read_model in progress.doubtful:
        raise StoreLost(f"{read_model} is being mended")
    return progress


def worst(lacks: Iterable[Lack | None]) -> Lack | None:
    """Of what several answers lack, what is longest in coming; None where none lacks anything."""
    return min((lack for lack in lacks if lack is not None), key=lambda lack: lack.may_come, default=None)


def oldest(freshnesses: Sequence[Freshness]) -> Freshness:
    """What holds for all of them: the earliest time, the longest lag, the lowest version, stale if one is."""
    return Freshness(
        min(each.as_of for each in freshnesses),
        max(each.lag_seconds for each in freshnesses),
        min(each.version for each in freshnesses),
        any(each.is_stale for each in freshnesses),
    )
