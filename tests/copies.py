"""Copies of what a Redis holds, as a replica or a file on disk would keep them."""

import redis

Copy = dict[bytes, tuple[bytes, int]]


def taken(client: redis.Redis) -> Copy:
    """Every key's value and time to live, as of now."""
    return {key: (client.dump(key), max(client.pttl(key), 0)) for key in client.scan_iter(count=10_000)}


def put(copy: Copy, client: redis.Redis) -> None:
    """The Redis holds the copy, and nothing else."""
    client.flushall()
    for key, (value, milliseconds) in copy.items():
        client.restore(key, milliseconds, value)
