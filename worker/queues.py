"""Which task waits in which queue: what takes long must not stand before a quick drain."""

from kombu import Queue

QUEUES = [Queue("live"), Queue("bulk"), Queue("repair"), Queue("chores")]
ROUTES = {
    "readmodels.drain": {"queue": "live"},
    "readmodels.drain_bulk": {"queue": "bulk"},
    "readmodels.sweep": {"queue": "live"},
    "readmodels.repair": {"queue": "repair"},
    "readmodels.scrub": {"queue": "repair"},
    "readmodels.chores": {"queue": "chores"},
}
