"""The limit: one process has PostgreSQL make the JSON, turns its COPY into Redis's protocol by hand, and pipes it in.

Says on one line how many seconds it took, by the clock and of CPU. Given are the database, Redis's socket and number of
its database; the statement comes in.
"""

import socket
import sys
import time

import psycopg

BATCH = 500
OK = b"+OK\r\n"


def main(database: str, path: str, number: str) -> None:
    """Every row that the statement gives is in Redis, its first column in the key's name."""
    statement = sys.stdin.read()
    with psycopg.connect(database) as connection, socket.socket(socket.AF_UNIX) as redis:
        redis.connect(path)
        redis.sendall(b"SELECT %s\r\n" % number.encode())
        _take(redis, 1)
        began, used = time.perf_counter(), time.process_time()
        with connection.cursor().copy(f"COPY ({statement}) TO STDOUT") as copy:
            sent = _pipe(redis, copy)
        _take(redis, sent)
        print(time.perf_counter() - began, time.process_time() - used)


def _pipe(redis: socket.socket, copy: psycopg.Copy) -> int:
    """How many answers are still to come; they are taken a batch late, so that nobody waits for them."""
    commands: list[bytes] = []
    unanswered = 0
    for row in copy:
        # Nothing but a backslash needs an escape: JSON has no control characters.
        order_id, _, body = bytes(row)[:-1].replace(b"\\\\", b"\\").partition(b"\t")
        key = b"bench:order:" + order_id
        commands.append(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(body), body))
        if len(commands) == BATCH:
            redis.sendall(b"".join(commands))
            _take(redis, unanswered)
            unanswered, commands = BATCH, []
    redis.sendall(b"".join(commands))
    return unanswered + len(commands)


def _take(redis: socket.socket, answers: int) -> None:
    left = answers * len(OK)
    while left:
        found = redis.recv(left)
        if not found or found.strip(b"+OK\r\n"):
            raise SystemExit(f"Redis answered {found[:100]!r}")
        left -= len(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
