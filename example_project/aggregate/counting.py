"""Counting page views by hour and by day: always the same counts, however often it is done."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timezone
from typing import Any

from django.db import transaction
from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import TruncDate, TruncHour

from aggregate.models import DailyCount, HourlyCount
from track.models import Device, PageView, Website

PERSON = ~Q(device=Device.BOT)
#: A page that was shown to a person.
VIEW = Q(is_page=True) & PERSON


def count_site(site: Website, *, since: date | None = None) -> tuple[int, int]:
    """Count a website anew, as a whole or from a day on; the numbers of hours and days that have counts.

    One shard is asked and written to, in one transaction: whoever reads sees the old counts or the new ones.
    """
    views = PageView.objects.filter(site=site)
    hours, days = HourlyCount.objects.filter(site=site), DailyCount.objects.filter(site=site)
    if since is not None:
        start = datetime.combine(since, time.min, tzinfo=timezone.utc)
        views, hours, days = views.filter(time__gte=start), hours.filter(hour__gte=start), days.filter(day__gte=since)
    with transaction.atomic(using="track"):
        hours.delete()
        days.delete()
        by_hour = [HourlyCount(site=site, **counts) for counts in counts_by(views, hour=TruncHour("time"))]
        by_day = [DailyCount(site=site, **counts) for counts in counts_by(views, day=TruncDate("time"))]
        HourlyCount.objects.bulk_create(by_hour, batch_size=1_000)
        DailyCount.objects.bulk_create(by_day, batch_size=1_000)
    return len(by_hour), len(by_day)


def counts_by(views: QuerySet[Any], **group: Any) -> Iterator[dict[str, Any]]:
    """One dict a group, with the fields of the counting models; of page views, or of rows that have their fields."""
    name = next(iter(group))
    rows = (
        views.annotate(**group)
        .values(name)
        .annotate(
            requests=Count("pk"),
            views=Count("pk", filter=VIEW),
            visitors=Count("visitor", filter=VIEW, distinct=True),
            bots=Count("pk", filter=Q(device=Device.BOT)),
            errors=Count("pk", filter=Q(status__gte=400)),
            total_bytes=Sum("size_bytes"),
        )
        .order_by(name)
    )
    for row in rows:
        yield {"size_bytes": row.pop("total_bytes"), **row}
