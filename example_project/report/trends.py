"""Questions across all websites, answered by the warehouse: no shard is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Max, Min, QuerySet, Sum

from aggregate.kinds import Kind
from report.period import Period
from warehouse.models import LabelDay, SiteDay


@dataclass(frozen=True, slots=True)
class TopPage:
    """A page among those of all websites; ``share`` is its percent of the website's views on the days it was seen."""

    domain: str
    path: str
    views: int
    share: float


@dataclass(frozen=True)
class Trends:
    """Everything of the page."""

    period: Period
    days: list[dict[str, Any]]
    pages: list[TopPage]


def read_trends(*, days: int, limit: int = 25) -> Trends | None:
    """Ask the warehouse; None where nothing is loaded yet."""
    span = SiteDay.objects.aggregate(first=Min("day"), last=Max("day"))
    if span["last"] is None:
        return None
    period = Period.ending(span["last"], days=days, first=span["first"])
    pages = [
        TopPage(row["site__domain"], row["label"], row["seen"], round(100 * row["seen"] / row["of"], 1))
        for row in top_pages(period)[:limit]
    ]
    return Trends(period, list(by_day(period)), pages)


def by_day(period: Period) -> QuerySet[SiteDay, dict[str, Any]]:
    """The views and visitors of each day."""
    facts = SiteDay.objects.filter(day__range=(period.first, period.last))
    return facts.values("day").annotate(seen=Sum("views"), people=Sum("visitors")).order_by("day")


def top_pages(period: Period) -> QuerySet[LabelDay, dict[str, Any]]:
    """The pages by their views, each beside the views of its website on the days that it was seen."""
    facts = LabelDay.objects.filter(kind=Kind.PAGE, day__range=(period.first, period.last))
    found = facts.values("site__domain", "label").annotate(seen=Sum("count"), of=Sum("whole__views"))
    return found.order_by("-seen", "site__domain", "label")
