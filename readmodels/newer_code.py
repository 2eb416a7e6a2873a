"""Changes left for generations that only newer code can build (plan.py says which are).

In a rolling deployment, and after one that was taken back, code of before projects beside newer code. Whoever
acknowledges a change leaves each generation that it can't build a copy of it, in the same transaction. The copy is
addressed to that generation, stands for the same writers, and waits in a lane of its own for code that can build it.
So neither code starves the other's generations. What is wide is left as a whole: newer code works its fan-out out anew.
"""

from django.db import connection

from readmodels.models import GIVEN_UP
from readmodels.plan import FORMAT

IS_CURRENT = f"g.state NOT IN ({', '.join(repr(str(state)) for state in GIVEN_UP)})"

# Whether the code at hand may take a row of the outbox.
IS_OURS = f"""(generation_id IS NULL OR EXISTS (
    SELECT FROM readmodels_generation g WHERE g.id = generation_id AND g.format <= {FORMAT}))"""

# A part of the acknowledging statement, in which `gone` are the rows. A fan-out's children came of a change that was
# left, or that is older than the generation. Where there is no such generation, one look at them all says so.
LEAVE = f"""
    INSERT INTO readmodels_change
           (source, key, columns, before, after, xid, at, trace, shard, writers, generation_id)
    SELECT source, key, columns, before, after, pg_current_xact_id()::text::bigint, at, trace, (shard & 7) - 8,
           COALESCE(writers, ARRAY[xid]), g.id
    FROM gone, readmodels_generation g
    WHERE (SELECT EXISTS (SELECT FROM readmodels_generation g WHERE g.format > {FORMAT} AND {IS_CURRENT}))
      AND g.format > {FORMAT} AND {IS_CURRENT}
      AND key IS NOT NULL AND read_models IS NULL AND generation_id IS NULL"""

# (writers, [read model], oldest time) of what is left, as the snapshot shows it.
GROUPS = """
    SELECT c.writers, ARRAY[g.read_model], min(c.at) FROM readmodels_change c
    JOIN readmodels_generation g ON g.id = c.generation_id
    WHERE c.shard BETWEEN -8 AND -1 GROUP BY c.writers, g.read_model LIMIT %s"""


def forget() -> int:
    """Nothing is left for generations that were given up or dropped; returns how many changes were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM readmodels_change c WHERE shard < 0 AND generation_id IS NOT NULL AND NOT EXISTS"
            f" (SELECT FROM readmodels_generation g WHERE g.id = c.generation_id AND {IS_CURRENT})"
        )
        return int(cursor.rowcount)
