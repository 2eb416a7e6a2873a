"""Imports that ended long ago go, with their rejections: the other chore of imports."""

from datetime import timedelta

from django.utils import timezone

from orders.batch.models import ImportJob

KEPT_DAYS = 30
MOST_AT_ONCE = 100


def step() -> int:
    """Some jobs that ended too long ago are gone; returns how many rows went."""
    old = ImportJob.objects.filter(finished_at__lt=timezone.now() - timedelta(days=KEPT_DAYS))
    chosen = list(old.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE])
    return ImportJob.objects.filter(pk__in=chosen).delete()[0]
