"""Fails where a table called marker stands in the way, and where shards that should meet here do not."""

import time
from pathlib import Path

from django.db import migrations, models


def fail_at_marker(apps, schema_editor):
    meet(schema_editor.connection)
    if "marker" in schema_editor.connection.introspection.table_names():
        raise RuntimeError(f"a marker is in {schema_editor.connection.alias}")


def meet(connection):
    """Wait for the other shards, where the settings say how many meet in which folder."""
    folder, number = connection.settings_dict["TEST"].get("MEETING", (".", 0))
    if number:
        (Path(folder) / f"{connection.alias}.here").touch()
    give_up_at = time.monotonic() + 60
    while number and len(list(Path(folder).glob("*.here"))) < number:
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"{connection.alias} is alone")
        time.sleep(0.01)


class Migration(migrations.Migration):
    dependencies = [("rollout_app", "0003_mark")]
    operations = [
        migrations.RunPython(fail_at_marker, migrations.RunPython.noop, hints={"database": "track"}),
        migrations.AddIndex("page", models.Index(fields=["site"], name="rollout_page_site")),
    ]
