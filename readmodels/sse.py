"""How live updates are written: the form of server-sent events (HTML standard, "event stream")."""

import json
from typing import Any

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = b":\n\n"


def update(name: str, data: bytes, update_id: str | None = None) -> bytes:
    """One update. One without an id leaves the client's `Last-Event-ID` as it was."""
    lines = [b"event: " + name.encode()]
    lines += [b"id: " + update_id.encode()] if update_id else []
    # A line break inside would end the field; JSON means the same with another one.
    lines += [b"data: " + line for line in data.splitlines()]
    return b"\n".join(lines) + b"\n\n"


def facts(name: str, **values: Any) -> bytes:
    """One update without an id that says something of the stream itself."""
    return update(name, json.dumps(values).encode())


def retry(milliseconds: int) -> bytes:
    """After how long a client that lost the stream asks again."""
    return b"retry: %d\n\n" % milliseconds
