"""What can go wrong in the engine: one class per thing that a caller handles differently."""


class ReadModelError(Exception):
    """Base of the engine's errors. Transient ones are tried again; permanent ones need a person."""

    is_transient = True


class StoreUnavailable(ReadModelError):
    """Redis did not answer, or answered that it can't serve now. Nothing may be acknowledged."""


class WriteRefused(ReadModelError):
    """Redis will not take these writes, however often they come: one document's value is at fault."""

    is_transient = False


class StoreLost(StoreUnavailable):
    """A bucket's marker is not the expected one: what the bucket held is gone or of another time."""


class StoreMoved(StoreUnavailable):
    """Redis is not the one that was last looked at: restarted, or failed over to a copy. The next sweep looks."""


class MayEvict(ReadModelError):
    """Redis may drop read models when its memory is full; the text says how to forbid that."""

    is_transient = False

    def __init__(self, policy: str, required: str) -> None:
        self.policy = policy
        super().__init__(
            f"Redis may drop read models: its maxmemory-policy is {policy}, {required} is required. Set it with: "
            f"redis-cli CONFIG SET maxmemory-policy {required} (to last over a restart, also in redis.conf: "
            f"maxmemory-policy {required})"
        )


class BrokerUnavailable(ReadModelError):
    """The broker did not take a message; the sweep will find the work."""


class AttemptTooOld(ReadModelError):
    """The attempt outlived its limit; its writes are refused, since tombstones may have expired meanwhile."""


class EpochMoved(ReadModelError):
    """PostgreSQL may have gone back since the epoch was set; the attempt is thrown away."""


class NotPrimary(ReadModelError):
    """The database is a standby; documents are built on the primary only."""


class NotProjected(StoreUnavailable):
    """No generation of this read model has been built yet, or Redis lost the pointer to it."""


class NotBuilt(StoreUnavailable):
    """A dead letter keeps back what may be the document asked for, so whether there is one can't be said."""


class NotYet(ReadModelError):
    """What the consistency token asks for is not in the read model within the wait."""


class CannotSay(NotYet):
    """The token comes from another timeline of the database; whether its write survived is not known here."""


class TooStale(NotYet):
    """The answer shows less than the greatest staleness asked for allows, also after the wait."""


class TooManyStreams(ReadModelError):
    """No more streams of live updates are opened here now."""


class TooManyStreamsOfOne(ReadModelError):
    """The principal has as many streams of live updates open as one may have."""


class WrongToken(ReadModelError):
    """The consistency token was not issued here."""

    is_transient = False


class WrongCursor(ReadModelError):
    """The page cursor was not issued for this list."""

    is_transient = False


class CursorOver(ReadModelError):
    """The cursor was issued for this list, but of a generation that is not served any more: begin anew."""

    is_transient = False


class ExportUnderWay(ReadModelError):
    """This process sends another export; each keeps one of its few threads for as long as it is read."""


class Died(ReadModelError):
    """The projector died at this document, each time it was tried."""

    is_transient = False


class WrongKey(ReadModelError):
    """The text can't be a key of this read model; says what can."""

    is_transient = False


class WrongSelection(ReadModelError):
    """Root rows can't be selected like this; says which fields there are."""

    is_transient = False


class CannotSwitch(ReadModelError):
    """There is no generation that could be switched to; says why, and which there are."""

    is_transient = False


class RebuildCancelled(ReadModelError):
    """The generation that was being built has been given up."""

    is_transient = False


class WrongDeclaration(ReadModelError):
    """A read model is declared in a way that can't be served exactly; says which field and what to do instead."""

    is_transient = False
