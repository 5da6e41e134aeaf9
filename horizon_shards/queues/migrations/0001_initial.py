"""The table of claims."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """On the alias that ``OPTIONS["CLAIMS"]`` names."""

    initial = True

    operations = [
        migrations.CreateModel(
            name="Claim",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("label", models.CharField(help_text="Task and key for human eyes.", max_length=200)),
                ("owner", models.CharField(help_text="The try that runs it, or has run it.", max_length=32)),
                ("leased_until", models.DateTimeField(help_text="When it may be taken over, unless it is done.")),
                ("done_at", models.DateTimeField(db_index=True, null=True)),
            ],
        ),
    ]
