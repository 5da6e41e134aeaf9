"""The table of spilled records, which the processes of a service share."""

from __future__ import annotations

from django.db import models


class Spilled(models.Model):
    """Lines of one stream that have not arrived yet; those of one ``segment`` and ``owner`` are sent together."""

    id = models.BigAutoField(primary_key=True)
    sink = models.CharField(max_length=100, help_text="The key of HORIZON_SINKS.")
    stream = models.CharField(max_length=200)
    segment = models.CharField(max_length=32, db_index=True)
    owner = models.CharField(max_length=32, help_text="Who holds it, or was the last to.")
    held_until = models.DateTimeField(
        null=True, help_text="When others may take it over; NULL: never, because no database takes it."
    )
    content = models.BinaryField(help_text="Lines of JSON.")

    class Meta:
        indexes = (models.Index(fields=["sink", "held_until"], name="horizon_shards_spilled"),)

    def __str__(self) -> str:
        return f"{self.sink} {self.stream}: {len(self.content):,} bytes"
