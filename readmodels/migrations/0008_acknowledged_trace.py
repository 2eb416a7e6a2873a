"""An acknowledged change keeps the trace of the request that made it, for as long as it is kept."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("readmodels", "0007_newer_code")]

    # The last column: code of before, which names none, goes on leaving it out.
    operations = [
        migrations.RunSQL(
            "ALTER TABLE readmodels_acknowledged ADD COLUMN trace text;",
            "ALTER TABLE readmodels_acknowledged DROP COLUMN trace;",
        )
    ]
