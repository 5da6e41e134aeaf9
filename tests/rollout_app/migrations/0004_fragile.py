"""Fails where a table called marker stands in the way."""

import time

from django.db import migrations, models


def fail_at_marker(apps, schema_editor):
    time.sleep(float(schema_editor.connection.settings_dict["TEST"].get("SECONDS", 0)))
    if "marker" in schema_editor.connection.introspection.table_names():
        raise RuntimeError(f"a marker is in {schema_editor.connection.alias}")


class Migration(migrations.Migration):
    dependencies = [("rollout_app", "0003_mark")]
    operations = [
        migrations.RunPython(fail_at_marker, migrations.RunPython.noop, hints={"database": "track"}),
        migrations.AddIndex("page", models.Index(fields=["site"], name="rollout_page_site")),
    ]
