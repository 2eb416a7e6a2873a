"""One attempt of a projector, a step at a time, so that others can come between any two of its steps."""

from collections.abc import Sequence

from readmodels import fan_out, outbox, projector
from readmodels.projector import Batch
from readmodels.store import Store

EVERY_SHARD = range(2 * outbox.SHARDS)  # of both lanes


class Attempt:
    """Snapshot, write, acknowledge, fan out, as the projector does; one that is wrong overrides what it gets wrong.

    The steps are called in this order, on one connection, each in no transaction. All but the first two may be called
    again, and none may be called at all: the attempt was killed.
    """

    batch: Batch

    def __init__(self, store: Store, shards: Sequence[int] = EVERY_SHARD) -> None:
        self.store = store
        self.shards = shards

    def begin(self) -> None:
        """What happens before the snapshot: nothing."""

    def read(self) -> None:
        """In one snapshot, the changes of the shards and all that they touch are in `batch`."""
        self.batch = projector.read(self.store, self.shards)

    def write(self) -> None:
        """Each write of the batch is stored, or something newer is."""
        projector.write(self.store, self.batch)

    def acknowledge(self) -> None:
        """The changes of the batch are gone; what is wide of them goes on in the bulk lane."""
        projector.acknowledge(self.batch)

    def expand(self) -> None:
        """Each fan-out of the batch is replaced by one change for each document."""
        fan_out.expand(self.batch.fan_outs, self.batch.snapshot.epoch)

    def run(self) -> None:
        """All steps, with nothing in between."""
        for step in (self.begin, self.read, self.write, self.acknowledge, self.expand):
            step()
