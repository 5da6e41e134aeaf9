"""The table of spilled records."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """On the alias that ``OPTIONS["SPILL_TABLE"]`` names."""

    initial = True

    operations = [
        migrations.CreateModel(
            name="Spilled",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("sink", models.CharField(help_text="The key of HORIZON_SINKS.", max_length=100)),
                ("stream", models.CharField(max_length=200)),
                ("segment", models.CharField(db_index=True, max_length=32)),
                ("owner", models.CharField(help_text="Who holds it, or was the last to.", max_length=32)),
                (
                    "held_until",
                    models.DateTimeField(
                        help_text="When others may take it over; NULL: never, because no database takes it.", null=True
                    ),
                ),
                ("content", models.BinaryField(help_text="Lines of JSON.")),
            ],
            options={"indexes": [models.Index(fields=["sink", "held_until"], name="horizon_shards_spilled")]},
        ),
    ]
