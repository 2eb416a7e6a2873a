"""What a projector leaves for generations that only newer code can build."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("readmodels", "0006_build_range")]

    operations = [
        migrations.AddField(model_name="change", name="generation_id", field=models.BigIntegerField(null=True)),
        migrations.AddField(model_name="generation", name="format", field=models.SmallIntegerField(db_default=1)),
    ]
