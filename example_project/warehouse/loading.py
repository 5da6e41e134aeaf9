"""What a website has in the warehouse: facts, from the shards or from the events that Firehose has brought."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Model, QuerySet
from django.db.models.functions import TruncDate, TruncHour

from aggregate.counting import counts_by
from aggregate.kinds import COUNTED
from aggregate.models import COUNTS, DailyCount, HourlyCount
from track.models import PageView, Website
from warehouse.models import LabelDay, PageEvent, Site, SiteDay, SiteHour

BATCH = 1_000


@dataclass(frozen=True)
class _Counted:
    """The facts of one website, by their models."""

    days: list[dict[str, Any]]
    hours: list[dict[str, Any]]
    labels: list[dict[str, Any]]

    def rows(self) -> Iterator[tuple[type[Model], list[dict[str, Any]]]]:
        yield SiteDay, self.days
        yield SiteHour, [{"day": row["hour"].date(), **row} for row in self.hours]
        yield LabelDay, self.labels


def load_site(website: Website) -> int:
    """Load a website anew, in one transaction; the number of facts.

    One shard is asked; with Firehose none: then its events are counted, and the facts of days before them stay.
    """
    counted = _of_events(website) if settings.COLLECTS_BY_FIREHOSE else _of_shard(website)
    days = [row["day"] for row in counted.days]
    old = {"day__gte": min(days, default=None)} if settings.COLLECTS_BY_FIREHOSE else {}
    with transaction.atomic(using="warehouse"):
        if days or not old:
            for model in (LabelDay, SiteHour, SiteDay):
                model._default_manager.filter(site=website.pk, **old).delete()
        Site.objects.filter(pk=website.pk).delete()
        Site.objects.create(pk=website.pk, domain=website.domain)
        return sum(_write(model, website, rows) for model, rows in counted.rows())


def _of_shard(website: Website) -> _Counted:
    days = DailyCount.objects.filter(site=website).values("day", *COUNTS)
    hours = HourlyCount.objects.filter(site=website).values("hour", *COUNTS)
    return _Counted(list(days), list(hours), list(_labels(PageView.objects.filter(site=website))))


def _of_events(website: Website) -> _Counted:
    events = PageEvent.objects.filter(site=website.pk)
    days, hours = counts_by(events, day=TruncDate("time")), counts_by(events, hour=TruncHour("time"))
    return _Counted(list(days), list(hours), list(_labels(events)))


def _labels(views: QuerySet[Any]) -> Iterator[dict[str, Any]]:
    for kind, (field, condition) in COUNTED.items():
        found = views.filter(condition).annotate(day=TruncDate("time")).values_list("day", field)
        for day, label, count in found.annotate(count=Count("pk")):
            yield {"kind": kind, "day": day, "label": label, "count": count}


def _write(model: type[Model], website: Website, rows: list[dict[str, Any]]) -> int:
    facts = [model(site_id=website.pk, **row) for row in rows]
    model._default_manager.bulk_create(facts, batch_size=BATCH)
    return len(facts)
