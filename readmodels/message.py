"""The wake as Celery's workers take it off Redis: version 2 of Celery's protocol, in kombu's envelope.

Sent by Celery itself it costs the writer ten times as much CPU and a trip of its own. A test holds the two to the same
content.
"""

import json
from base64 import b64encode
from random import getrandbits

TASK, QUEUE = "readmodels.drain", "live"
# No arguments, and nothing to be called afterwards.
NOTHING: list[object] = [[], {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
BODY = b64encode(json.dumps(NOTHING).encode()).decode()


ID = "the id"
MESSAGE = json.dumps(
    {
        "body": BODY,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": TASK, "id": ID, "root_id": ID, "retries": 0, "ignore_result": True},
        "properties": {
            "correlation_id": ID,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": ID,
        },
    }
)


def made() -> str:
    """A message that has the task run once."""
    return MESSAGE.replace(ID, f"{getrandbits(128):032x}")  # where Celery has a UUID, which costs a call to the kernel
