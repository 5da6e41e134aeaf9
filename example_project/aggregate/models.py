"""Counts per website, which live on the shard of the page views that they count."""

from __future__ import annotations

from django.db import models

from horizon_shards.models import ShardedModel
from horizon_shards.models.deletion import SHARD_CASCADE
from track.models import Website
from track.row_ids import RowIdField


class Counted(models.Model):
    """What is counted. A view is a page that was shown to a person; a request is anything that was asked for.

    ``visitors`` of an hour do not add up to those of a day; those of days do add up, because a visitor has
    another number every day.
    """

    requests = models.PositiveIntegerField(default=0)
    views = models.PositiveIntegerField(default=0)
    visitors = models.PositiveIntegerField(default=0)
    bots = models.PositiveIntegerField(default=0)
    errors = models.PositiveIntegerField(default=0)
    size_bytes = models.PositiveBigIntegerField(default=0)

    class Meta:
        abstract = True


#: What is counted of an hour and of a day.
COUNTS = tuple(field.name for field in Counted._meta.local_fields)


class Counts(Counted, ShardedModel):
    """The counts of a website, on its shard."""

    site = models.ForeignKey(Website, on_delete=SHARD_CASCADE, db_constraint=False, related_name="+")

    class Meta:
        abstract = True

    class Sharding:
        database = "track"
        key = "site"


class HourlyCount(Counts):
    """One hour of one website; its primary key begins with the shard key."""

    pk = models.CompositePrimaryKey("site_id", "hour")
    hour = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h"


class DailyCount(Counts):
    """One day (UTC) of one website; its primary key carries the shard."""

    id = RowIdField(primary_key=True)
    day = models.DateField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "day"], name="one_day_a_site")]

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d}"
