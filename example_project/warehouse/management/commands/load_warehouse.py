"""``manage.py load_warehouse``: load what was counted into the warehouse."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from track.models import Website
from warehouse.loading import load_site


class Command(BaseCommand):
    """Load all websites; doing it again gives the same facts."""

    help = (
        "Loads the counts of all websites into the warehouse; with FIREHOSE_STREAM it counts the events that "
        "load_firehose has brought there. Running it twice changes nothing."
    )

    def handle(self, **options: Any) -> None:
        """Load and tell."""
        websites = list(Website.objects.all())
        facts = sum(load_site(website) for website in websites)
        self.stdout.write(f"Loaded {len(websites)} websites: {facts:,} facts.")
