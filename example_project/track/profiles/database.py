"""Profiles without DynamoDB: what the stored page views say, by a query to the website's shard."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Count, Max, Min
from django.utils import timezone

from track.models import Device, PageView
from track.profiles.base import Profile, Profiles


class DatabaseProfiles(Profiles):
    """Nothing is stored twice: the views are there, each event once, and a profile is a group of them."""

    asks_shards = True

    def see(self, view: PageView) -> None:
        """The sink has stored the view; there is nothing else to write."""

    def latest(self, site_id: int, *, limit: int) -> Sequence[Profile]:
        """One shard groups and sorts. Views that went to Firehose are not there."""
        since = timezone.now() - timedelta(days=self.days)
        views = PageView.objects.filter(site=site_id, time__gt=since, is_page=True).exclude(device=Device.BOT)
        rows = views.values("visitor").annotate(
            first_seen=Min("time"),
            last_seen=Max("time"),
            views=Count("pk"),
            # The agent is part of what makes the visitor's number: all of his views have the same.
            browser=Max("browser"),
            system=Max("system"),
            device=Max("device"),
        )
        return [Profile(**row) for row in rows.order_by("-last_seen", "visitor")[:limit]]
