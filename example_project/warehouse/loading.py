"""What a website has in the warehouse: facts, from the shards or from the events that Firehose has brought."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Model, Q, QuerySet
from django.db.models.functions import TruncDate

from aggregate.counting import VIEW
from aggregate.models import DailyCount
from track.models import PageView, Website
from warehouse.models import PageEvent, PathDay, Site, SiteDay

BATCH = 1_000


def load_site(website: Website) -> int:
    """Load a website anew, in one transaction; the number of facts.

    One shard is asked; with Firehose none: then its events are counted, and the facts of days before them stay.
    """
    days, paths = _of_events(website) if settings.COLLECTS_BY_FIREHOSE else _of_shard(website)
    old = {"day__gte": min((row["day"] for row in days), default=None)} if settings.COLLECTS_BY_FIREHOSE else {}
    with transaction.atomic(using="warehouse"):
        if days or not old:
            for model in (PathDay, SiteDay):
                model._default_manager.filter(site=website.pk, **old).delete()
        Site.objects.filter(pk=website.pk).delete()
        Site.objects.create(pk=website.pk, domain=website.domain)
        return _write(SiteDay, website, days) + _write(PathDay, website, paths)


def _of_shard(website: Website) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    days = DailyCount.objects.filter(site=website).values("day", "views", "visitors", "requests", "errors")
    return list(days), _paths(PageView.objects.filter(site=website))


def _of_events(website: Website) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    events = PageEvent.objects.filter(site=website.pk)
    days = events.annotate(day=TruncDate("time")).values("day")
    counted = days.annotate(
        views=Count("pk", filter=VIEW),
        visitors=Count("visitor", filter=VIEW, distinct=True),
        requests=Count("pk"),
        errors=Count("pk", filter=Q(status__gte=400)),
    )
    return list(counted), _paths(events)


def _paths(views: QuerySet[Any]) -> list[dict[str, Any]]:
    days = views.filter(VIEW).annotate(day=TruncDate("time"))
    return list(days.values("day", "path").annotate(views=Count("pk")))


def _write(model: type[Model], website: Website, rows: list[dict[str, Any]]) -> int:
    facts = [model(site_id=website.pk, **row) for row in rows]
    model._default_manager.bulk_create(facts, batch_size=BATCH)
    return len(facts)
