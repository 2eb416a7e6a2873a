"""The clients of Redis: one for the read models, one for the broker. Neither waits for ever."""

from functools import cache

import redis
from redis import RedisError as RedisError

from readmodels.conf import conf

# Never retried by the client: a projector's attempt is thrown away whole, a reader answers 503 at once.
OPTIONS = {"protocol": 2, "retry_on_timeout": False, "retry": None}


@cache
def read_models() -> redis.Redis:
    """The client of the read models' Redis; connections are opened on use and kept per thread or process."""
    return _client(conf().redis_url, conf().redis_timeout_seconds)


@cache
def broker() -> redis.Redis:
    """The client of the broker's Redis, used for the wake flag only; quick to give up, since a write waits for it."""
    return _client(conf().broker_url, conf().broker_timeout_seconds)


def _client(url: str, timeout_seconds: float) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=timeout_seconds, socket_connect_timeout=timeout_seconds, **OPTIONS)
