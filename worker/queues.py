"""Which task waits in which queue: a long repair must not stand before a quick drain."""

from kombu import Queue

QUEUES = [Queue("live"), Queue("repair")]
ROUTES = {
    "readmodels.drain": {"queue": "live"},
    "readmodels.sweep": {"queue": "live"},
    "readmodels.repair": {"queue": "repair"},
}
