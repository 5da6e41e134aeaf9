"""The log of decisions of transactions in two phases."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Beside the tables of assignments."""

    dependencies = [("horizon_shards", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Decision",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("logical_database", models.CharField(max_length=63)),
                ("gid", models.CharField(max_length=63)),
                ("outcome", models.CharField(max_length=10)),
                ("shards", models.TextField(help_text="The names of the shards that were written to, in JSON.")),
                ("decided_at", models.BigIntegerField(help_text="Seconds since 1970.")),
            ],
            options={
                "db_table": "horizon_shards_decision",
                "constraints": [
                    models.UniqueConstraint(fields=("logical_database", "gid"), name="horizon_shards_one_decision")
                ],
            },
        ),
    ]
