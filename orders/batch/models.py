"""Imports of orders over HTTP: what was sent, how far it is, and what was rejected."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone


class JobState(models.TextChoices):
    """Where an import stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


OPEN = (JobState.WAITING, JobState.RUNNING)


class PayloadFormat(models.TextChoices):
    """What the lines of a payload are."""

    NDJSON = "ndjson"
    CSV = "csv"


class ImportJob(models.Model):
    """One payload and what has become of it. Changed with each chunk, in the transaction that makes its orders."""

    format = models.CharField(max_length=8, choices=PayloadFormat)
    state = models.CharField(max_length=8, choices=JobState, default=JobState.WAITING, db_default=JobState.WAITING)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, related_name="+", null=True)
    bytes = models.BigIntegerField()
    lines = models.IntegerField()
    # Of a CSV: what its header names, in its order.
    columns = ArrayField(models.TextField(), default=list)
    # How much of the payload is done, in bytes and in lines.
    position = models.BigIntegerField(default=0, db_default=0)
    lines_read = models.IntegerField(default=0, db_default=0)
    orders_made = models.IntegerField(default=0, db_default=0)
    orders_rejected = models.IntegerField(default=0, db_default=0)
    # How often the chunk that comes next was begun.
    attempts = models.SmallIntegerField(default=0, db_default=0)
    # Of a failed job: why.
    failure = models.TextField(null=True)
    created_at = models.DateTimeField(default=timezone.now, db_default=Now())
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "orders_importjob"
        indexes = [
            # Serves the choice of the next chunk: the oldest job that is not over.
            models.Index(fields=["id"], condition=Q(state__in=OPEN), name="orders_importjob_open"),
        ]

    def __str__(self) -> str:
        return f"Import {self.pk}"


class ImportPart(models.Model):
    """Some whole lines of a payload; `ends_at` counts its bytes up to and with them. Gone once they are done."""

    # The unique index begins with the job.
    job = models.ForeignKey(ImportJob, models.CASCADE, related_name="parts", db_index=False)
    ends_at = models.BigIntegerField()
    data = models.BinaryField()

    class Meta:
        db_table = "orders_importpart"
        constraints = [
            # Serves "what comes next of this payload".
            models.UniqueConstraint(fields=["job", "ends_at"], name="orders_importpart_end_is_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.job_id} to {self.ends_at}"


class ImportRejection(models.Model):
    """One of the first orders that an import rejected; how many there were in all, the job says."""

    job = models.ForeignKey(ImportJob, models.CASCADE, related_name="rejections")
    line = models.IntegerField()
    code = models.CharField(max_length=64)
    detail = models.TextField()

    class Meta:
        db_table = "orders_importrejection"

    def __str__(self) -> str:
        return f"line {self.line}: {self.code}"
