from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("readmodels", "0002_witness")]

    operations = [migrations.AddField("Generation", "retired_at", models.DateTimeField(null=True))]
