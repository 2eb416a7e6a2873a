"""How far the filling of a generation is; two more states of a generation."""

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("readmodels", "0004_scrub")]

    operations = [
        migrations.CreateModel(
            name="Build",
            fields=[
                ("generation_id", models.BigIntegerField(primary_key=True, serialize=False)),
                ("registered", models.TextField()),
                ("epoch", models.BigIntegerField()),
                ("after", models.TextField(null=True)),
                ("rows", models.BigIntegerField(default=0)),
                ("expected_rows", models.BigIntegerField(default=0)),
                ("target", models.TextField(default="")),
                ("filled_at", models.DateTimeField(null=True)),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("updated_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={"db_table": "readmodels_build"},
        ),
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
                ]
            ),
        ),
    ]
