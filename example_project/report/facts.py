"""Where the pages read what was counted: from the shards, or from the warehouse. Both give the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count, Model, QuerySet, Sum

from aggregate.kinds import COUNTED, Kind
from aggregate.models import DailyCount, HourlyCount
from report.period import Period
from track.models import PageView, Website
from warehouse.models import LabelDay, SiteDay, SiteHour

#: A label and how often it was seen.
Labels = QuerySet[Any, tuple[str, int]]


@dataclass(frozen=True)
class Facts:
    """Counts by day and by hour, in models with the same fields, and a list of each kind."""

    name: str
    days: type[Model]
    hours: type[Model]
    #: Of a website, in a period; the most frequent first. The label breaks ties, so that it is always the same list.
    labels: Callable[[Website, Kind, Period], Labels]

    def days_of(self, **conditions: Any) -> QuerySet[Any]:
        """The counts by day for which this holds."""
        return self.days._default_manager.filter(**conditions)

    def hours_of(self, **conditions: Any) -> QuerySet[Any]:
        """The counts by hour for which this holds."""
        return self.hours._default_manager.filter(**conditions)


def _on_shards(site: Website, kind: Kind, period: Period) -> Labels:
    field, condition = COUNTED[kind]
    views = PageView.objects.filter(condition, site=site, time__gte=period.start, time__lt=period.end)
    if kind == Kind.REFERRER:
        views = views.exclude(referrer=site.domain)
    return views.values_list(field).annotate(count=Count("pk")).order_by("-count", field)


def _in_warehouse(site: Website, kind: Kind, period: Period) -> Labels:
    facts = LabelDay.objects.filter(site=site.pk, kind=kind, day__range=(period.first, period.last))
    if kind == Kind.REFERRER:
        facts = facts.exclude(label=site.domain)
    return facts.values_list("label").annotate(seen=Sum("count")).order_by("-seen", "label")


SHARDS = Facts("shards", DailyCount, HourlyCount, _on_shards)
WAREHOUSE = Facts("warehouse", SiteDay, SiteHour, _in_warehouse)
CHOICES = {facts.name: facts for facts in (SHARDS, WAREHOUSE)}


def chosen_facts(name: str | None) -> Facts:
    """Those that a query string names; for none and for nonsense those of the setting ``REPORT_FROM``."""
    return CHOICES.get(name or "") or CHOICES[settings.REPORT_FROM]
