"""The tables of a directory."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Assignments of keys, bucket tables, and blocks of numbers."""

    initial = True
    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Assignment",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("logical_database", models.CharField(max_length=63)),
                (
                    "key_text",
                    models.CharField(help_text="The key's canonical bytes in hex, or their digest.", max_length=200),
                ),
                ("label", models.CharField(help_text="The key for human eyes.", max_length=200)),
                ("shard", models.CharField(max_length=63)),
                ("bucket", models.PositiveIntegerField()),
            ],
            options={
                "db_table": "horizon_shards_assignment",
                "indexes": [models.Index(fields=["logical_database", "shard"], name="horizon_shards_by_shard")],
                "constraints": [
                    models.UniqueConstraint(fields=("logical_database", "key_text"), name="horizon_shards_one_key")
                ],
            },
        ),
        migrations.CreateModel(
            name="Block",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("logical_database", models.CharField(max_length=63)),
                ("name", models.CharField(max_length=63)),
                ("next_number", models.BigIntegerField()),
            ],
            options={
                "db_table": "horizon_shards_block",
                "constraints": [
                    models.UniqueConstraint(fields=("logical_database", "name"), name="horizon_shards_one_block")
                ],
            },
        ),
        migrations.CreateModel(
            name="Bucket",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("logical_database", models.CharField(max_length=63)),
                ("bucket", models.PositiveIntegerField()),
                ("shard", models.CharField(max_length=63)),
            ],
            options={
                "db_table": "horizon_shards_bucket",
                "constraints": [
                    models.UniqueConstraint(fields=("logical_database", "bucket"), name="horizon_shards_one_bucket")
                ],
            },
        ),
    ]
