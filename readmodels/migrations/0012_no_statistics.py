"""PostgreSQL gathers no statistics of the outbox's columns.

It would gather them at some moment of a table that is empty at one and long at the next, and plan with them for hours:
where by chance all of a sample was in one shard, each batch was chosen by reading the whole outbox. Without any it
expects few rows of each value, as is right for a queue, and takes the indexes.
"""

from django.db import migrations

TYPES = {
    "id": "bigint",
    "source": "text",
    "key": "text",
    "columns": "text[]",
    "before": "jsonb",
    "after": "jsonb",
    "xid": "bigint",
    "at": "timestamp with time zone",
    "trace": "text",
    "shard": "smallint",
    "writers": "bigint[]",
    "read_models": "text[]",
    "is_fan_out": "boolean",
    "attempts": "smallint",
    "not_before": "timestamp with time zone",
    "generation_id": "bigint",
}


def altered(each: str) -> str:
    """One statement that does this to each column."""
    return "ALTER TABLE readmodels_change " + ", ".join(each.format(name=name, type=TYPES[name]) for name in TYPES)


class Migration(migrations.Migration):
    dependencies = [("readmodels", "0011_shard_lease")]

    operations = [
        # Of a column that is given a type PostgreSQL forgets what it has gathered; given its own, it leaves the rows be.
        migrations.RunSQL(altered('ALTER COLUMN "{name}" TYPE {type}'), migrations.RunSQL.noop),
        migrations.RunSQL(
            altered('ALTER COLUMN "{name}" SET STATISTICS 0'), altered('ALTER COLUMN "{name}" SET STATISTICS -1')
        ),
    ]
