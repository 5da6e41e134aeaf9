"""A star: websites on all nodes, and facts that are distributed by website and sorted by day.

On Redshift every join of facts compares the website, so that no row leaves its node; other databases ignore the
``class Redshift``.
"""

from __future__ import annotations

from django.db import models

from aggregate.kinds import Kind
from aggregate.models import Counted
from horizon_shards.fields import CompositeForeignKey
from track.models import HOST_LENGTH, PATH_LENGTH, Device


class Site(models.Model):
    """A website, with the number that it has in ``default``."""

    id = models.BigIntegerField(primary_key=True)
    domain = models.CharField(max_length=HOST_LENGTH)

    class Redshift:
        diststyle = "all"

    def __str__(self) -> str:
        return self.domain


class Fact(models.Model):
    """Something that was counted on a website on one day (UTC)."""

    site = models.ForeignKey(Site, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    day = models.DateField()

    class Meta:
        abstract = True

    class Redshift:
        distkey = "site"
        sortkey = ("day", "site")


class SiteDay(Counted, Fact):
    """A website on one day."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "day"], name="one_fact_a_site_and_day")]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"


class SiteHour(Counted, Fact):
    """An hour of a website's day."""

    hour = models.DateTimeField()
    whole = CompositeForeignKey(SiteDay, models.DO_NOTHING, to_fields=("site", "day"), related_name="hours")

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h"


class LabelDay(Fact):
    """A page, a referrer, a browser ... of a website on one day; its website's day is joined by website and day."""

    kind = models.CharField(max_length=10, choices=Kind)
    label = models.CharField(max_length=PATH_LENGTH, blank=True)
    count = models.PositiveIntegerField()
    whole = CompositeForeignKey(SiteDay, models.DO_NOTHING, to_fields=("site", "day"), related_name="labels")

    def __str__(self) -> str:
        return self.label


class PageEvent(models.Model):
    """A page view as it was collected, where Firehose brings it here in place of a shard; each event is there once."""

    id = models.BigIntegerField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+")
    event_id = models.UUIDField()
    time = models.DateTimeField()
    visitor = models.CharField(max_length=16)
    path = models.CharField(max_length=PATH_LENGTH)
    referrer = models.CharField(max_length=HOST_LENGTH, blank=True)
    browser = models.CharField(max_length=60, blank=True)
    system = models.CharField(max_length=60, blank=True)
    device = models.CharField(max_length=10, choices=Device)
    status = models.PositiveSmallIntegerField()
    size_bytes = models.PositiveBigIntegerField()
    is_page = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "event_id"], name="one_page_event_a_site")]

    class Redshift:
        distkey = "site"
        sortkey = ("time", "site")

    def __str__(self) -> str:
        return f"{self.path} at {self.time:%Y-%m-%d %H:%M:%S}"
