"""A scan of everything that is stored, written apart from the engine's own: every key and value of a Redis, every row
of every table.
"""

import redis
from django.db import connection

READS = {
    b"string": lambda client, key: [client.get(key)],
    b"hash": lambda client, key: [part for pair in client.hgetall(key).items() for part in pair],
    b"zset": lambda client, key: client.zrange(key, 0, -1),
    b"set": lambda client, key: client.smembers(key),
    b"list": lambda client, key: client.lrange(key, 0, -1),
    b"stream": lambda client, key: [repr(client.xrange(key)).encode()],
    b"none": lambda client, key: [],
}


def in_redis(client: redis.Redis, *texts: str) -> list[str]:
    """The keys that hold any of the texts, in their names or anywhere in them."""
    found = []
    for key in client.scan_iter(count=1000):
        parts = [key, *(part or b"" for part in READS[client.type(key)](client, key))]
        if any(text.lower() in part.decode(errors="replace").lower() for text in texts for part in parts):
            found.append(key.decode())
    return sorted(found)


def in_postgresql(*texts: str) -> list[str]:
    """The rows, as text, that hold any of the texts, each after its table's name, the server's own left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        tables = sorted(name for [name] in cursor.fetchall())
        found = []
        for table in tables:
            cursor.execute(f"SELECT t::text FROM {table} t")
            rows = [row for [row] in cursor.fetchall()]
            found += [f"{table}: {row}" for row in rows if any(text.lower() in row.lower() for text in texts)]
    return found
