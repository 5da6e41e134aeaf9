"""From the shards to the warehouse: what a website has there is replaced as a whole."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Count, Model
from django.db.models.functions import TruncDate

from aggregate.counting import VIEW
from aggregate.models import DailyCount
from track.models import PageView, Website
from warehouse.models import PathDay, Site, SiteDay

BATCH = 1_000


def load_site(website: Website) -> int:
    """Load a website anew, in one transaction; the number of facts. One shard is asked."""
    days = DailyCount.objects.filter(site=website).values("day", "views", "visitors", "requests", "errors")
    views = PageView.objects.filter(VIEW, site=website).annotate(day=TruncDate("time"))
    paths = views.values("day", "path").annotate(views=Count("pk"))
    with transaction.atomic(using="warehouse"):
        for model in (PathDay, SiteDay):
            model._default_manager.filter(site=website.pk).delete()
        Site.objects.filter(pk=website.pk).delete()
        Site.objects.create(pk=website.pk, domain=website.domain)
        return _write(SiteDay, website, days) + _write(PathDay, website, paths)


def _write(model: type[Model], website: Website, rows: Any) -> int:
    facts = [model(site_id=website.pk, **row) for row in rows]
    model._default_manager.bulk_create(facts, batch_size=BATCH)
    return len(facts)
