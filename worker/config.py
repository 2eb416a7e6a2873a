"""How Celery runs here. Nothing in the broker matters: a lost message costs at most a second, until the next sweep."""

from typing import Any

from readmodels.conf import conf
from worker import celery
from worker.queues import QUEUES, ROUTES
from worker.schedule import SCHEDULE

broker_url = celery.broker_url(conf().broker_url)
broker_connection_retry_on_startup = True
# Both time-outs: a broker that accepts and never answers would otherwise hold a write for minutes.
broker_transport_options: dict[str, Any] = {
    "socket_timeout": conf().broker_timeout_seconds,
    "socket_connect_timeout": conf().broker_timeout_seconds,
    "max_retries": 0,
    # What was taken is in no list of the broker's until it is acknowledged: messages carry nothing. With such a list,
    # each acknowledgement that a hung broker lost cost the worker a place of its prefetch, until it took no message
    # any more and said nothing; and each task costs two round trips more.
    "ack_emulation": False,
}
task_publish_retry = False
task_ignore_result = True
task_acks_late = False
accept_content = ["json"]
task_serializer = "json"
task_default_queue = "live"
task_queues = QUEUES
task_routes = ROUTES
worker_prefetch_multiplier = 1
worker_hijack_root_logger = False
worker_send_task_events = False
# No task runs longer than this; it is then begun anew by a sweep.
task_soft_time_limit = 600
task_time_limit = 660
# A task whose process was killed holds its place for so long, or until worker/upkeep.py looks next. Of 106 times that
# one or all processes were killed under load, changes came through within 2.3 s each time; with Celery's 10 s, and its
# look each 5 s, some took 6 s.
worker_lost_wait = 0.1
beat_schedule = SCHEDULE
timezone = "UTC"
# Celery closes the database connection after each task unless told this; reusing it halves commit-to-visible.
CELERY_DB_REUSE_MAX = 1_000_000
