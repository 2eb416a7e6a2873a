"""How many rows of a table PostgreSQL reads, by its own count."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

READ = "SELECT seq_tup_read + COALESCE(idx_tup_fetch, 0) FROM pg_stat_user_tables WHERE relname = %s"


class Rows:
    """How many rows of the table a block read."""

    count = 0


@contextmanager
def rows_read(table: str) -> Iterator[Rows]:
    """Until the block ends, of this connection."""
    rows, before = Rows(), _read_so_far(table)
    yield rows
    rows.count = _read_so_far(table) - before


def _read_so_far(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(READ, [table])
        return int(cursor.fetchone()[0])
