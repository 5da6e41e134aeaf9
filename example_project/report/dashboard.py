"""What the dashboard of one website shows; every query names the website, so one shard answers all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Count, Max, Min, QuerySet, Sum

from aggregate.counting import PERSON, VIEW
from aggregate.models import DailyCount, HourlyCount
from report.period import Period
from track.models import Device, PageView, Website

COUNTS = ("requests", "views", "visitors", "bots", "errors", "size_bytes")
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list: what, how often, and how long its bar is (percent of the longest)."""

    label: str
    count: int
    width: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """A list of the most frequent, with its heading."""

    title: str
    rows: Sequence[Row]


def known_period(site: Website, *, days: int) -> Period | None:
    """The last days that have counts; None where nothing is counted yet."""
    span = DailyCount.objects.filter(site=site).aggregate(first=Min("day"), last=Max("day"))
    return Period.ending(span["last"], days=days, first=span["first"]) if span["last"] else None


def totals(site: Website, *, period: Period) -> dict[str, int]:
    """The sums of the daily counts."""
    days = DailyCount.objects.filter(site=site, day__range=(period.first, period.last))
    sums = days.aggregate(**{f"sum_{name}": Sum(name) for name in COUNTS})
    return {name: sums[f"sum_{name}"] or 0 for name in COUNTS}


def timeline(site: Website, *, period: Period) -> dict[str, Any]:
    """Views and visitors over time, by hour for a day or two, else by day or by month, zeros in the gaps."""
    points = _hours(site, period) if period.length <= 2 else _steps(site, period)
    labels, views, visitors = zip(*points, strict=True)
    return {"labels": labels, "views": views, "visitors": visitors}


def rankings(site: Website, *, period: Period, limit: int = 8) -> list[Ranking]:
    """Top pages, referrers, browsers, systems and devices of the views that persons made, and what failed."""
    asked = PageView.objects.filter(site=site, time__gte=period.start, time__lt=period.end)
    views = asked.filter(VIEW)
    devices = dict(Device.choices)
    referred = views.exclude(referrer=site.domain)
    return [
        Ranking("Top pages", _top(views, "path", limit=limit)),
        Ranking("Referrers", _top(referred, "referrer", limit=limit, empty="Direct or unknown")),
        Ranking("Browsers", _top(views, "browser", limit=limit, empty="Unknown")),
        Ranking("Systems", _top(views, "system", limit=limit, empty="Unknown")),
        Ranking("Devices", _top(views, "device", limit=limit, names=devices)),
        Ranking("Bots", _top(asked.exclude(PERSON), "browser", limit=limit, empty="Unknown")),
        Ranking("Failed requests", _top(asked.filter(status__gte=400), "path", limit=limit)),
    ]


def rhythm(site: Website, *, period: Period) -> list[dict[str, Any]]:
    """Views by weekday and hour, each with its strength from 0 to 1."""
    hours = HourlyCount.objects.filter(site=site, hour__gte=period.start, hour__lt=period.end)
    grid = [[0] * 24 for _ in WEEKDAYS]
    for hour, views in hours.values_list("hour", "views"):
        grid[hour.weekday()][hour.hour] += views
    most = max(map(max, grid)) or 1
    return [
        {
            "day": name,
            "hours": [{"hour": hour, "views": n, "strength": round(n / most, 3)} for hour, n in enumerate(row)],
        }
        for name, row in zip(WEEKDAYS, grid, strict=True)
    ]


def _hours(site: Website, period: Period) -> list[tuple[str, int, int]]:
    counts = HourlyCount.objects.filter(site=site, hour__gte=period.start, hour__lt=period.end)
    found = {hour: (views, visitors) for hour, views, visitors in counts.values_list("hour", "views", "visitors")}
    return [(f"{hour:%H:%M}", *found.get(hour, (0, 0))) for hour in period.hours()]


def _steps(site: Website, period: Period) -> list[tuple[str, int, int]]:
    counts = DailyCount.objects.filter(site=site, day__range=(period.first, period.last))
    views, visitors = Counter[date](), Counter[date]()
    for day, day_views, day_visitors in counts.values_list("day", "views", "visitors"):
        views[period.step_of(day)] += day_views
        visitors[period.step_of(day)] += day_visitors
    return [(period.label(step), views[step], visitors[step]) for step in period.steps()]


def _top(
    views: QuerySet[PageView], field: str, *, limit: int, empty: str = "", names: dict[str, str] | None = None
) -> list[Row]:
    # The label breaks ties, so that the same views always give the same list.
    found = list(views.values_list(field).annotate(count=Count("pk")).order_by("-count", field)[:limit])
    most = found[0][1] if found else 1
    return [
        Row((names or {}).get(label, label) or empty, count, round(100 * count / most, 1)) for label, count in found
    ]
