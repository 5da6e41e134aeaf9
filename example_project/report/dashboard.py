"""What the dashboard of one website shows; every query names the website, so one shard answers all of them, or none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Max, Min, Sum

from aggregate.kinds import Kind
from aggregate.models import COUNTS
from report.facts import SHARDS, Facts
from report.period import Period
from track.models import Device, Website

#: What stands for no label.
EMPTY = {Kind.REFERRER: "Direct or unknown"}
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


def known_period(site: Website, *, days: int, facts: Facts = SHARDS) -> Period | None:
    """The last days that have counts; None where nothing is counted yet."""
    span = facts.days_of(site=site.pk).aggregate(first=Min("day"), last=Max("day"))
    return Period.ending(span["last"], days=days, first=span["first"]) if span["last"] else None


def totals(site: Website, *, period: Period, facts: Facts = SHARDS) -> dict[str, int]:
    """The sums of the daily counts."""
    days = facts.days_of(site=site.pk, day__range=(period.first, period.last))
    sums = days.aggregate(**{f"sum_{name}": Sum(name) for name in COUNTS})
    return {name: sums[f"sum_{name}"] or 0 for name in COUNTS}


def timeline(site: Website, *, period: Period, facts: Facts = SHARDS) -> dict[str, Any]:
    """Views and visitors over time, by hour for a day or two, else by day or by month, zeros in the gaps."""
    points = _hours(site, period, facts) if period.length <= 2 else _steps(site, period, facts)
    labels, views, visitors = zip(*points, strict=True)
    return {"labels": labels, "views": views, "visitors": visitors}


def rankings(site: Website, *, period: Period, limit: int = 8, facts: Facts = SHARDS) -> list[Ranking]:
    """Top pages, referrers, browsers, systems and devices of the views that persons made, and what failed."""
    return [Ranking(kind.label, _top(site, kind, period, limit, facts)) for kind in Kind]


def rhythm(site: Website, *, period: Period, facts: Facts = SHARDS) -> list[dict[str, Any]]:
    """Views by weekday and hour, each with its strength from 0 to 1."""
    hours = facts.hours_of(site=site.pk, hour__gte=period.start, hour__lt=period.end)
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


def _hours(site: Website, period: Period, facts: Facts) -> list[tuple[str, int, int]]:
    counts = facts.hours_of(site=site.pk, hour__gte=period.start, hour__lt=period.end)
    found = {hour: (views, visitors) for hour, views, visitors in counts.values_list("hour", "views", "visitors")}
    return [(f"{hour:%H:%M}", *found.get(hour, (0, 0))) for hour in period.hours()]


def _steps(site: Website, period: Period, facts: Facts) -> list[tuple[str, int, int]]:
    counts = facts.days_of(site=site.pk, day__range=(period.first, period.last))
    views, visitors = Counter[date](), Counter[date]()
    for day, day_views, day_visitors in counts.values_list("day", "views", "visitors"):
        views[period.step_of(day)] += day_views
        visitors[period.step_of(day)] += day_visitors
    return [(period.label(step), views[step], visitors[step]) for step in period.steps()]


def _top(site: Website, kind: Kind, period: Period, limit: int, facts: Facts) -> list[Row]:
    found = list(facts.labels(site, kind, period)[:limit])
    most = found[0][1] if found else 1
    return [Row(_shown(kind, label), count, round(100 * count / most, 1)) for label, count in found]


def _shown(kind: Kind, label: str) -> str:
    if kind == Kind.DEVICE:
        return dict(Device.choices).get(label, label)
    return label or EMPTY.get(kind, "Unknown")
