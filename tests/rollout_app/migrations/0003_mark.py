"""Changes rows in SQL."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("rollout_app", "0002_copy")]
    operations = [
        migrations.RunSQL(
            "UPDATE rollout_app_copy SET path = REPLACE(path, '/', '!')",
            migrations.RunSQL.noop,
            hints={"database": "track"},
        )
    ]
