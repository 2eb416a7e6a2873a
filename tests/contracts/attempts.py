"""One attempt of a projector, step by step: in the right order, and in each wrong one that DESIGN names.

A scenario, or the test kit's adversary, drives an attempt through its steps, with others in between; a wrong attempt
overrides the one step that it gets wrong.
"""

from contextlib import contextmanager
from dataclasses import replace

import psycopg
from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg.types.string import TextLoader

from readmodels import buckets, building, consistency, generations, keys, outbox, projector, snapshot
from readmodels.projector import Batch
from readmodels.store import Store
from readmodels.testing.attempt import EVERY_SHARD, Attempt
from readmodels.values import DocumentWrite


class RightAttempt(Attempt):
    """As the projector does it, with what a wrong one would do in the writers."""

    def fan_out(self, writer: psycopg.Connection) -> None:
        """Called in a writer's transaction, after its change."""

    def coalesce(self, writer: psycopg.Connection) -> None:
        """Called in a writer's transaction, after its change."""


class ReadsBeforeChoosing(RightAttempt):
    """Builds first, and then takes the changes that it finds as those it has built."""

    def acknowledge(self) -> None:
        projector.acknowledge(projector.read(self.store, self.shards))


class DrawsVersionAfterRead(RightAttempt):
    """Gives what it read the version of a later snapshot."""

    def write(self) -> None:
        with snapshot.reading() as (_, now):
            later = replace(self.batch.attempt, version=now.version)
        projector.write(self.store, replace(self.batch, attempt=later))


class DrawsVersionBeforeRead(RightAttempt):
    """Takes the version in one snapshot and the documents in a later one, as READ COMMITTED would."""

    def begin(self) -> None:
        with snapshot.reading() as (_, now):
            self.version = now.version

    def read(self) -> None:
        super().read()
        self.batch = replace(self.batch, attempt=replace(self.batch.attempt, version=self.version))


class HasNoGuard(RightAttempt):
    """Puts its documents over whatever is there."""

    def write(self) -> None:
        documents = [write for write in self.batch.writes if isinstance(write, DocumentWrite)]
        for write in documents:
            self.store._client.delete(keys.document(write.read_model, write.generation, write.key))
        super().write()


class FollowsACursor(RightAttempt):
    """Takes the changes after the last id that it saw, as if the order of ids were that of commits."""

    last = 0

    def read(self) -> None:
        super().read()
        if not any(change.id > self.last for change in self.batch.changes):
            self.batch = replace(self.batch, writes=[])
        self.last = max([self.last, *(change.id for change in self.batch.changes)])


class FansOutInTheWriter(RightAttempt):
    """Touches the orders that the writer saw when it changed the user."""

    def fan_out(self, writer: psycopg.Connection) -> None:
        self.seen = {str(row[0]) for row in writer.execute("SELECT id FROM orders_order").fetchall()}

    def read(self) -> None:
        super().read()
        kept = [write for write in self.batch.writes if write.read_model == "UserProfile" or _key(write) in self.seen]
        self.batch = replace(self.batch, writes=kept)


class ReadsALaggingReplica(RightAttempt):
    """Builds on a standby that is behind the primary, where it takes changes and version."""

    def begin(self) -> None:
        self.replica = connect()
        self.replica.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self.replica.execute("SELECT 1")

    def read(self) -> None:
        super().read()
        cursor = CursorWrapper(self.replica.cursor(), connection)
        built = [building.writes_for(cursor, each, self.batch.changes) for each in generations.current(cursor)]
        self.batch = replace(self.batch, writes=[write for writes in built for write in writes])
        self.replica.rollback()


class OwnsATransactionId(RightAttempt):
    """Reads in a transaction that has written: its own id is missing from its list of running transactions."""

    def begin(self) -> None:
        self.own = connect()
        self.own.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        self.own.execute("LOCK TABLE django_session IN ACCESS EXCLUSIVE MODE")  # assigns the id, takes no snapshot

    def read(self) -> None:
        self.batch = read_on(self.own, self.store)

    def acknowledge(self) -> None:
        self.own.rollback()
        super().acknowledge()


class AcknowledgesByIdAlone(RightAttempt):
    """Deletes the changes of the ids it saw, whoever wrote them."""

    def acknowledge(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM readmodels_change WHERE id = ANY(%s)", [[c.id for c in self.batch.changes]])


class CoalescesInPlace(RightAttempt):
    """Its writers add no change where one of the same row is pending."""

    def coalesce(self, writer: psycopg.Connection) -> None:
        writer.execute(
            "DELETE FROM readmodels_change newer USING readmodels_change older"
            " WHERE newer.source = older.source AND newer.key = older.key AND newer.id > older.id"
        )


def connect() -> psycopg.Connection:
    """A connection to the test database beside Django's, without autocommit; jsonb comes as text, as Django has it."""
    parameters = connection.get_connection_params()
    del parameters["context"]
    parameters["cursor_factory"] = psycopg.ClientCursor
    made = psycopg.connect(**parameters)
    made.adapters.register_loader("jsonb", TextLoader)
    return made


@contextmanager
def writing():
    """A writer's connection: each statement waits for its `commit`."""
    made = connect()
    try:
        yield made
    finally:
        made.close()


def read_on(own: psycopg.Connection, store: Store) -> Batch:
    """Steps 1 and 2 on a connection of one's own."""
    cursor = CursorWrapper(own.cursor(), connection)
    started_ms = store.now_ms()
    now = snapshot.clock(cursor)
    changes = outbox.visible(cursor, EVERY_SHARD, 500)
    known = buckets.read(cursor)
    writes = [write for each in generations.current(cursor) for write in building.writes_for(cursor, each, changes)]
    attempt = consistency.attempt(started_ms, now, known.markers)
    return Batch(attempt, now, changes, {}, writes, known.filled, [], False, None, None)


def _key(write: object) -> str:
    return str(getattr(write, "key", None) or getattr(write, "row_id", "")).lstrip("0")
