"""What notices a Redis that went back, the acknowledged changes that are then projected again, the age of what is parked."""

import django.contrib.postgres.fields
import django.db.models.functions.datetime
from django.db import migrations, models

# As many hours in a ring, so that old ones are emptied without reading them, and nothing has to be made in time.
SLOTS = 32

FORWARDS = """
    CREATE TABLE readmodels_acknowledged (
        slot smallint NOT NULL, source text NOT NULL, key text NOT NULL, columns text[], before jsonb, after jsonb,
        xid bigint NOT NULL, at timestamptz NOT NULL, shard smallint NOT NULL, writers bigint[], read_models text[],
        acknowledged_epoch bigint NOT NULL, acknowledged_xid bigint NOT NULL
    ) PARTITION BY LIST (slot);
    -- Serves the replay: what was acknowledged from one transaction on. The ids rise, so ranges of blocks are enough.
    CREATE INDEX readmodels_acknowledged_xid ON readmodels_acknowledged USING brin (acknowledged_xid);
""" + "".join(
    f"CREATE TABLE readmodels_acknowledged_{slot:02d} PARTITION OF readmodels_acknowledged FOR VALUES IN ({slot});\n"
    for slot in range(SLOTS)
)


class Migration(migrations.Migration):
    dependencies = [("readmodels", "0002_witness")]

    operations = [
        migrations.CreateModel(
            name="Heartbeat",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("beats", models.BigIntegerField(default=0)),
                ("store_id", models.TextField(default="")),
                ("evicted_keys", models.BigIntegerField(default=0)),
                (
                    "replays",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), default=list, size=None
                    ),
                ),
                ("filled_epoch", models.BigIntegerField(default=0)),
                ("filled_xid", models.BigIntegerField(default=0)),
            ],
            options={"db_table": "readmodels_heartbeat"},
        ),
        migrations.AddField(
            model_name="deadletter",
            name="at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.RunSQL(FORWARDS, "DROP TABLE readmodels_acknowledged;"),
    ]
