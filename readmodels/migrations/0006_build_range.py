"""The key ranges of a generation that is being filled, for several processes at once; one more state of a generation."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("readmodels", "0005_build")]

    operations = [
        migrations.CreateModel(
            name="BuildRange",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("generation_id", models.BigIntegerField(db_index=True)),
                ("after", models.TextField(null=True)),
                ("upto", models.TextField(null=True)),
                ("holder", models.TextField(default="")),
                ("held_until", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={"db_table": "readmodels_build_range"},
        ),
        # What was filled by one process alone is what was handed out.
        migrations.RenameField("build", "after", "handed_out"),
        migrations.AddField("build", "is_handed_out", models.BooleanField(db_default=False)),
        migrations.AddField("build", "paused_seconds", models.FloatField(db_default=0.0)),
        migrations.AlterField(
            model_name="generation",
            name="state",
            field=models.TextField(
                choices=[
                    ("building", "Building"),
                    ("live", "Live"),
                    ("retired", "Retired"),
                    ("withdrawn", "Withdrawn"),
                    ("broken", "Broken"),
                    ("cancelled", "Cancelled"),
                    ("over", "Over"),
                ]
            ),
        ),
    ]
