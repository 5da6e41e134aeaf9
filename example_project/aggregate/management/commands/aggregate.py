"""``manage.py aggregate``: count the page views of all websites, or of one, by hour and by day."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from aggregate.counting import count_site
from track.management.websites import website_named
from track.models import Website


class Command(BaseCommand):
    """Count page views; doing it again gives the same counts."""

    help = "Counts the page views by hour and by day. Counts are made anew: running it twice changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which website, from when on."""
        parser.add_argument("--site", metavar="KEY", help="key or domain of one website; without it, all")
        parser.add_argument("--since", metavar="DAY", type=_day, help="count from this day on (YYYY-MM-DD)")

    def handle(self, *, site: str | None, since: date | None, **options: Any) -> None:
        """Count and tell; raises ``CommandError`` for a website that is not there."""
        hours = days = 0
        sites = list(Website.objects.all()) if site is None else [website_named(site)]
        for website in sites:
            new_hours, new_days = count_site(website, since=since)
            hours, days = hours + new_hours, days + new_days
        self.stdout.write(f"Counted {len(sites)} websites: {hours:,} hours, {days:,} days.")


def _day(text: str) -> date:
    return date.fromisoformat(text)
