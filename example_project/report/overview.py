"""What the overview of all websites shows: what all shards answer at once, put together, or what the warehouse has."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db.models import Max, Min, Sum

from aggregate.models import COUNTS
from horizon_shards.context import allow_scatter
from report.facts import SHARDS, Facts
from report.period import Period
from report.placement import shard_names, shards_of, stored_views
from track.models import Website


@dataclass(frozen=True)
class SiteLine:
    """One website of the table: where it lives (nothing of the warehouse), what was counted, its views over time."""

    site: Website
    shard: str
    counts: Mapping[str, int]
    views: Sequence[int]


@dataclass(frozen=True)
class ShardLine:
    """One shard: how many websites are assigned to it, how many page views it holds, its share in percent."""

    name: str
    sites: int
    stored: int
    share: float


@dataclass(frozen=True)
class Overview:
    """Everything of the page."""

    period: Period
    totals: Mapping[str, int]
    sites: Sequence[SiteLine]
    shards: Sequence[ShardLine]
    facts: Facts = SHARDS

    def views_by_shard(self) -> dict[str, list[int]]:
        """The views of each step of the period, apart for each shard; without shards under no name."""
        if not self.shards:
            return {"": [sum(views) for views in zip(*(line.views for line in self.sites), strict=True)]}
        sums = {shard.name: [0] * len(self.period.steps()) for shard in self.shards}
        for line in self.sites:
            if line.shard in sums:
                sums[line.shard] = [a + b for a, b in zip(sums[line.shard], line.views, strict=True)]
        return sums


def read_overview(*, days: int, facts: Facts = SHARDS) -> Overview | None:
    """Ask all shards, or the warehouse; None where nothing is counted yet."""
    with allow_scatter():
        span = facts.days_of().aggregate(first=Min("day"), last=Max("day"))
        if span["last"] is None:
            return None
        period = Period.ending(span["last"], days=days, first=span["first"])
        sites = _sites(period, facts)
        return Overview(period, _totals(period, facts), sites, _shards(sites) if facts is SHARDS else [], facts)


def _totals(period: Period, facts: Facts) -> dict[str, int]:
    counted = facts.days_of(day__range=(period.first, period.last))
    sums = counted.aggregate(**{f"sum_{name}": Sum(name) for name in COUNTS})
    return {name: sums[f"sum_{name}"] or 0 for name in COUNTS}


def _sites(period: Period, facts: Facts) -> list[SiteLine]:
    websites = list(Website.objects.all())
    shards = shards_of(site.pk for site in websites) if facts is SHARDS else {}
    by_site: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in facts.days_of(day__range=(period.first, period.last)).values("site_id", "day", *COUNTS):
        by_site[row["site_id"]].append(row)
    lines = [_line(site, shards.get(site.pk, ""), by_site[site.pk], period) for site in websites]
    return sorted(lines, key=lambda line: (-line.counts["views"], line.site.domain))


def _line(site: Website, shard: str, days: Sequence[Mapping[str, Any]], period: Period) -> SiteLine:
    views = Counter[date]()
    for row in days:
        views[period.step_of(row["day"])] += row["views"]
    counts = {name: sum(row[name] for row in days) for name in COUNTS}
    return SiteLine(site, shard, counts, [views[step] for step in period.steps()])


def _shards(sites: Sequence[SiteLine]) -> list[ShardLine]:
    stored = stored_views()
    total = sum(stored.values()) or 1
    return [
        ShardLine(name, sum(line.shard == name for line in sites), stored[name], round(100 * stored[name] / total, 1))
        for name in shard_names()
    ]
