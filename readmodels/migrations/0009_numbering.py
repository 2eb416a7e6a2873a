"""The highest number that a generation of each read model ever had."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("readmodels", "0008_acknowledged_trace")]

    operations = [
        migrations.CreateModel(
            name="Numbering",
            fields=[
                ("read_model", models.TextField(primary_key=True, serialize=False)),
                ("number", models.IntegerField()),
            ],
            options={"db_table": "readmodels_numbering"},
        ),
        migrations.RunSQL(
            "INSERT INTO readmodels_numbering SELECT read_model, max(number) FROM readmodels_generation GROUP BY 1",
            migrations.RunSQL.noop,
        ),
    ]
