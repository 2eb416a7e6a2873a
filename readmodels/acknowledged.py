"""The changes acknowledged within the last day: should Redis go back to an older copy, they are projected again.

They are kept in a ring of tables, one for each hour of the day and some to spare: what is too old goes by emptying a
whole table, which costs nothing however much it holds (as PgQ rotates its queues).
"""

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

SLOTS = 32  # as many tables as the migration made
HOUR = "floor(extract(epoch FROM clock_timestamp()) / 3600)::bigint"
SLOT = f"mod({HOUR}, {SLOTS})"

# Ids are handed out again after a crash, so they are compared within an epoch only.
NOT_SHOWN = """(acknowledged_epoch > %(epoch)s OR acknowledged_epoch = %(epoch)s AND acknowledged_xid >= %(xmin)s
                AND NOT pg_visible_in_snapshot(acknowledged_xid::text::xid8, %(snapshot)s::pg_snapshot))"""


def replay(cursor: CursorWrapper, epoch: int, snapshot: str, most_rows: int) -> int | None:
    """The changes whose acknowledgement a snapshot of that epoch does not show are pending once more; returns how many.

    None: there are more than `most_rows`, and none is. They are changes of the running transaction, so its id says
    when the last of them is done.
    """
    shown: dict[str, int | str] = {"epoch": epoch, "snapshot": snapshot, "xmin": int(snapshot.split(":")[0])}
    cursor.execute(
        f"SELECT count(*) FROM (SELECT FROM readmodels_acknowledged WHERE {NOT_SHOWN} LIMIT %(most)s) few",
        {**shown, "most": most_rows + 1},
    )
    [rows] = cursor.fetchone()
    if rows > most_rows:
        return None
    cursor.execute(
        "INSERT INTO readmodels_change"
        " (source, key, columns, before, after, xid, at, trace, shard, writers, read_models)"
        " SELECT source, key, columns, before, after, pg_current_xact_id()::text::bigint, at, trace, shard,"
        " writers || pg_current_xact_id()::text::bigint, read_models"
        f" FROM readmodels_acknowledged WHERE {NOT_SHOWN} ORDER BY acknowledged_xid",
        shown,
    )
    return int(rows)


def hold(cursor: CursorWrapper) -> None:
    """Until the transaction ends, the trust in a Redis does not change; whoever acknowledges holds it like this too."""
    cursor.execute("LOCK TABLE readmodels_acknowledged IN ROW EXCLUSIVE MODE")


def hold_alone(cursor: CursorWrapper) -> None:
    """Until the transaction ends, nobody acknowledges; who was at it has ended."""
    cursor.execute("LOCK TABLE readmodels_acknowledged IN SHARE MODE")


def drop_old(slot: int, hours: int) -> bool:
    """The slot's table keeps nothing that was acknowledged more hours ago (and one); True: it was emptied for that."""
    table = f"readmodels_acknowledged_{slot:02d}"
    if slot >= SLOTS:
        return False
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {HOUR}, EXISTS (SELECT FROM {table})")
        hour, is_used = cursor.fetchone()
        # The next one is left alone too: it may be begun before this ends.
        if not is_used or slot in {(hour - age) % SLOTS for age in range(-1, hours + 1)}:
            return False
        # Acknowledging must not queue up behind it, should somebody be reading the table.
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        cursor.execute(f"TRUNCATE {table}")
    return True
