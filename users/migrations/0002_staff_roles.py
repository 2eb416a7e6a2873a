from django.db import migrations, models
from django.db.models import Q

# Whoever was staff before there were roles did both.
GIVE_BOTH = "UPDATE users_user SET is_support = true, is_catalogue = true WHERE is_staff"


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("users", "0001_initial"),
    ]

    operations = [
        migrations.AddField("user", "is_support", models.BooleanField(db_default=False, default=False)),
        migrations.AddField("user", "is_catalogue", models.BooleanField(db_default=False, default=False)),
        migrations.AddConstraint(
            "user",
            models.CheckConstraint(
                condition=Q(is_staff=True) | Q(is_support=False, is_catalogue=False),
                name="users_user_roles_are_for_staff",
                violation_error_message="Only staff have the roles support and catalogue.",
            ),
        ),
        migrations.RunSQL(GIVE_BOTH, migrations.RunSQL.noop),
    ]
