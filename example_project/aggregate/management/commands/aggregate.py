"""``manage.py aggregate``: count the page views of all websites, or of one, by hour and by day."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from aggregate.counting import count_site
from track.management.websites import website_named
from track.models import Website


class Command(BaseCommand):
    """Count page views; doing it again gives the same counts."""

    help = "Counts the page views by hour and by day. Counts are made anew: running it twice changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which website, from when on."""
        parser.add_argument("--site", metavar="KEY", help="key or domain of one website; without it, all")
        parser.add_argument("--enqueue", action="store_true", help="make a task for each website")
        parser.add_argument("--since", metavar="DAY", type=_day, help="count from this day on (YYYY-MM-DD)")

    def handle(self, *, site: str | None, since: date | None, enqueue: bool, **options: Any) -> None:
        """Count and tell; raises ``CommandError`` for a website that is not there."""
        sites = list(Website.objects.all()) if site is None else [website_named(site)]
        if enqueue:
            self._enqueue(sites, since)
        else:
            self._count(sites, since)

    def _enqueue(self, sites: list[Website], since: date | None) -> None:
        # Without the option nobody needs tasks, which Django 5.2 has not.
        from aggregate.tasks import count_website

        results = [count_website.enqueue(site.pk, since and since.isoformat()) for site in sites]
        failed = [site.domain for site, result in zip(sites, results, strict=True) if result.errors]
        if failed:
            raise CommandError(f"Counting failed for {', '.join(failed)}; the log of django.tasks has the errors.")
        done = all(result.is_finished for result in results)
        self.stdout.write(f"{'Counted' if done else 'Enqueued'} {len(sites)} websites, a task each.")

    def _count(self, sites: list[Website], since: date | None) -> None:
        hours = days = 0
        for website in sites:
            new_hours, new_days = count_site(website, since=since)
            hours, days = hours + new_hours, days + new_days
        self.stdout.write(f"Counted {len(sites)} websites: {hours:,} hours, {days:,} days.")


def _day(text: str) -> date:
    return date.fromisoformat(text)
