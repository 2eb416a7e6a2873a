"""The engine's own tables. Triggers and the projector write them in SQL; Django knows them for migrations and admin."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Change(models.Model):
    """The outbox: this row of this table changed in that transaction. Carries routing columns, never state."""

    source = models.TextField()
    # NULL: the table was truncated.
    key = models.TextField(null=True)
    # The used columns that an update changed; NULL for a row that came or went.
    columns = ArrayField(models.TextField(), null=True)
    before = models.JSONField(null=True)
    after = models.JSONField(null=True)
    xid = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())
    trace = models.TextField(null=True)
    # 0 to 7 is the live lane, 8 to 15 the bulk lane, -8 to -1 what is left for newer code.
    shard = models.SmallIntegerField()
    # In the bulk lane: the transactions that the change stands for (NULL: its own), the read models that it is left
    # for, and whether it still has to be replaced by one change per document.
    writers = ArrayField(models.BigIntegerField(), null=True)
    read_models = ArrayField(models.TextField(), null=True)
    is_fan_out = models.BooleanField(db_default=False)
    # How often it was tried alone, and when it may be tried again.
    attempts = models.SmallIntegerField(db_default=0)
    not_before = models.DateTimeField(null=True)
    # The one generation that it is left for, by a projector that could not build that; NULL: it is for all.
    generation_id = models.BigIntegerField(null=True)

    class Meta:
        db_table = "readmodels_change"
        indexes = [
            # Serves the projector's choice: the oldest changes of the shards it holds.
            models.Index(fields=["shard", "id"], name="readmodels_change_by_shard"),
            # Serves coalescing: the pending change of the same document.
            models.Index(fields=["source", "key"], condition=Q(shard__gte=8), name="readmodels_change_bulk_key"),
            # Serves progress: each group of transactions that the bulk lane works for, without reading its changes.
            models.Index(
                fields=["writers", "read_models", "at"], condition=Q(shard__gte=8), name="readmodels_change_bulk_group"
            ),
        ]


class GenerationState(models.TextChoices):
    """Where a generation stands. Changes are projected into all but what is given up: broken, cancelled, over."""

    BUILDING = "building"
    LIVE = "live"
    RETIRED = "retired"  # switched away from, kept current: served to code of its fingerprint, and to go back to
    WITHDRAWN = "withdrawn"  # rolled back from, kept current, served to nobody
    BROKEN = "broken"  # a column that its SQL reads is gone, a table was truncated, or an equal one took its place
    CANCELLED = "cancelled"  # its rebuild was
    OVER = "over"  # switched away from for so long that nobody goes back to it


# What is given up is projected no more, served no more, and soon gone.
GIVEN_UP = (GenerationState.BROKEN, GenerationState.CANCELLED, GenerationState.OVER)
# What was switched away from stays current, and can be gone back to.
PREVIOUS = (GenerationState.RETIRED, GenerationState.WITHDRAWN)


class Generation(models.Model):
    """One full copy of a read model, with the compiled declaration that any version of the code builds it from."""

    read_model = models.TextField()
    number = models.PositiveIntegerField()
    fingerprint = models.TextField()
    plan = models.JSONField()
    # The plan's, where SQL can compare it with what the code at hand can build.
    format = models.SmallIntegerField(db_default=1)
    state = models.TextField(choices=GenerationState)
    created_at = models.DateTimeField(db_default=Now())
    # Switched away from then; readers may hold its number for a while yet.
    retired_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "readmodels_generation"
        constraints = [
            models.UniqueConstraint(fields=["read_model", "number"], name="readmodels_generation_number"),
            models.UniqueConstraint(
                fields=["read_model"], condition=Q(state="live"), name="readmodels_generation_one_is_live"
            ),
        ]


class Numbering(models.Model):
    """The highest number that a generation of the read model ever had: none is given twice, or a cursor of a generation
    that was dropped would be taken for one of its successor."""

    read_model = models.TextField(primary_key=True)
    number = models.IntegerField()

    class Meta:
        db_table = "readmodels_numbering"


class Build(models.Model):
    """How far the filling of a generation is, so that whoever takes it up goes on there."""

    generation_id = models.BigIntegerField(primary_key=True)
    # The snapshot in which it was registered: what that shows must be projected before the switch.
    registered = models.TextField()
    epoch = models.BigIntegerField()
    # The last root key of the ranges handed out so far (NULL: none yet), and whether the last range was.
    handed_out = models.TextField(null=True)
    is_handed_out = models.BooleanField(db_default=False)
    rows = models.BigIntegerField(default=0)
    # As of the beginning: for the time left, not for the end.
    expected_rows = models.BigIntegerField(default=0)
    # What it goes to; where Redis is another or has lost a bucket since, it begins again.
    target = models.TextField(default="")
    filled_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    # When nobody was at it: between two ranges of which a killed process did the first.
    paused_seconds = models.FloatField(db_default=0.0)

    class Meta:
        db_table = "readmodels_build"


class BuildRange(models.Model):
    """A range of root keys that a process has in hand; gone once it is filled. One held for too long is another's."""

    generation_id = models.BigIntegerField(db_index=True)
    # After one root key (NULL: from the first) up to another (NULL: to the last).
    after = models.TextField(null=True)
    upto = models.TextField(null=True)
    holder = models.TextField(default="")
    held_until = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "readmodels_build_range"


class Shard(models.Model):
    """Who is at a shard's changes, and until when nobody else is.

    And how many attempts at them were begun and not ended: a projector died, or could not go on.
    """

    number = models.SmallIntegerField(primary_key=True)
    attempts = models.SmallIntegerField(default=0)
    holder = models.TextField(null=True)
    held_until = models.DateTimeField(null=True)

    class Meta:
        db_table = "readmodels_shard"


class DeadLetter(models.Model):
    """A document that could not be made, parked with its error; found by its root row's key."""

    read_model = models.TextField()
    generation = models.PositiveIntegerField()
    source = models.TextField()
    key = models.TextField()
    before = models.JSONField(null=True)
    writers = ArrayField(models.BigIntegerField())
    error = models.TextField()
    traceback = models.TextField()
    attempts = models.IntegerField()
    # When the oldest of the changes that it stands for was made.
    at = models.DateTimeField(db_default=Now())
    parked_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "readmodels_dead_letter"
        constraints = [
            models.UniqueConstraint(fields=["read_model", "generation", "key"], name="readmodels_dead_letter_document")
        ]


class Bucket(models.Model):
    """The marker that a bucket of Redis must carry; another one there, or none, shows that it was lost."""

    number = models.SmallIntegerField(primary_key=True)
    marker = models.TextField()
    is_filled = models.BooleanField(default=False)

    class Meta:
        db_table = "readmodels_bucket"


class Heartbeat(models.Model):
    """One row: what the sweep last knew of the read models' Redis, so that it notices one that went back."""

    # How often it was written; Redis holds the same number, and a snapshot of then.
    beats = models.BigIntegerField(default=0)
    # The run of the server that is trusted; empty: none is, and all is to be built anew.
    store_id = models.TextField(default="")
    evicted_keys = models.BigIntegerField(default=0)
    # The transactions that put acknowledged changes back into the outbox, until these are projected.
    replays = ArrayField(models.BigIntegerField(), default=list)
    # When a bucket or a generation was last marked as filled.
    filled_epoch = models.BigIntegerField(default=0)
    filled_xid = models.BigIntegerField(default=0)
    # When somebody was last erased: what attempts of before still park quotes nothing.
    erased_epoch = models.BigIntegerField(db_default=0)
    erased_xid = models.BigIntegerField(db_default=0)

    class Meta:
        db_table = "readmodels_heartbeat"


class Scrub(models.Model):
    """How far the continuous audit of a generation is, and since when all of it is known to be right."""

    generation = models.OneToOneField(Generation, models.CASCADE, primary_key=True)
    # Where the next stretch begins (walking.Position), and what differed at the last looks; NULL: a round begins.
    position = models.JSONField(null=True)
    suspects = models.JSONField(default=list)
    store_id = models.TextField(default="")
    began_at = models.DateTimeField(null=True)
    # Of the round under way: what differed, and what could not be told.
    found = models.IntegerField(default=0)
    unsettled = models.IntegerField(default=0)
    # When the last whole round began, and what it found.
    verified_as_of = models.DateTimeField(null=True)
    last_found = models.IntegerField(default=0)
    last_unsettled = models.IntegerField(default=0)
    # Whose turn it is: that of the one that has waited longest.
    stepped_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "readmodels_scrub"


class Clock(models.Model):
    """One row: the epoch, and the fingerprint of the server it was set on."""

    epoch = models.BigIntegerField()
    server = models.TextField()
    # The first epoch of this timeline: tokens from before it can't be judged.
    timeline_epoch = models.BigIntegerField()

    class Meta:
        db_table = "readmodels_clock"


class Witness(models.Model):
    """One row in an UNLOGGED table, which every crash recovery and promotion empties."""

    epoch = models.BigIntegerField(primary_key=True)

    class Meta:
        db_table = "readmodels_witness"
        managed = False
