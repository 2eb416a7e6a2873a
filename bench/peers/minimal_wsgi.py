"""The least there is: a WSGI function and a GET by redis-py, for anybody. HEADERS (JSON) has more headers to answer."""

import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import redis

HEADERS = [(name, value) for name, value in json.loads(os.environ.get("HEADERS", "[]"))]
client = redis.Redis.from_url(os.environ["REDIS_URL"])


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The document under the last part of the path."""
    body: Any = client.get("bench:order:" + environ["PATH_INFO"].rpartition("/")[2])
    if body is None:
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]
    start_response("200 OK", [*HEADERS, ("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
