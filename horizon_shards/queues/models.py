"""The table that all workers agree through: which task somebody runs, and which one is done."""

from __future__ import annotations

from django.db import models


class Claim(models.Model):
    """One task that is running or done, by the digest of its idempotency key."""

    digest = models.CharField(max_length=64, primary_key=True)
    label = models.CharField(max_length=200, help_text="Task and key for human eyes.")
    owner = models.CharField(max_length=32, help_text="The try that runs it, or has run it.")
    leased_until = models.DateTimeField(help_text="When it may be taken over, unless it is done.")
    done_at = models.DateTimeField(null=True, db_index=True)

    def __str__(self) -> str:
        return f"{self.label}: {'done' if self.done_at else 'running'}"
