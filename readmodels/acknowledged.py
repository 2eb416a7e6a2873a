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
        "INSERT INTO readmodels_change (source, key, columns, before, after, xid, at, shard, writers, read_models)"
        " SELECT source, key, columns, before, after, pg_current_xact_id()::text::bigint, at, shard,"
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


def drop_old(hours: int) -> list[int]:
    """Nothing is kept that was acknowledged more hours ago (and one); returns the slots that were emptied."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {HOUR}")
        now = int(cursor.fetchone()[0])
        kept = {(now - age) % SLOTS for age in range(hours + 1)}
        # The next one is left alone: it may be begun before this ends.
        old = set(range(SLOTS)) - kept - {(now + 1) % SLOTS}
        return [slot for slot in sorted(old) if _empty(cursor, slot)]


def _empty(cursor: CursorWrapper, slot: int) -> bool:
    table = f"readmodels_acknowledged_{slot:02d}"
    cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")
    if cursor.fetchone() == (False,):
        return False
    with transaction.atomic():
        # Acknowledging must not queue up behind it, should somebody be reading the table.
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        cursor.execute(f"TRUNCATE {table}")
    return True
