"""The witness in an UNLOGGED table, and an outbox that is vacuumed as a queue needs it."""

from django.db import migrations

FORWARDS = """
    CREATE UNLOGGED TABLE readmodels_witness (epoch bigint PRIMARY KEY);
    -- Every row is deleted within seconds: vacuum by count of dead rows, not by share of a table that is empty.
    ALTER TABLE readmodels_change SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
                                       autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_cost_delay = 0);
"""
BACKWARDS = "DROP TABLE readmodels_witness;"


class Migration(migrations.Migration):
    dependencies = [("readmodels", "0001_initial")]

    operations = [migrations.RunSQL(FORWARDS, BACKWARDS)]
