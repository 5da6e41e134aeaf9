"""The tables."""

from django.db import migrations, models

import horizon_shards.fields


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Page",
            fields=[
                ("id", horizon_shards.fields.ShardedIdField(primary_key=True, serialize=False)),
                ("site", models.IntegerField()),
                ("path", models.CharField(max_length=100)),
            ],
        ),
        migrations.CreateModel(
            name="Copy",
            fields=[
                ("id", horizon_shards.fields.ShardedIdField(primary_key=True, serialize=False)),
                ("site", models.IntegerField()),
                ("path", models.CharField(max_length=100)),
            ],
        ),
        migrations.CreateModel(
            name="Setting",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
            ],
        ),
    ]
