"""The one model of the benchmarks."""

from __future__ import annotations

from django.db import models

from horizon_shards.fields import ShardedIdField
from horizon_shards.models import ShardedModel


class PageView(ShardedModel):
    """A view of a page of a website; sharded by the website's number."""

    id = ShardedIdField(primary_key=True)
    site = models.IntegerField()
    at = models.DateTimeField()
    path = models.CharField(max_length=200)
    ms = models.IntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["site", "at"], name="views_of_a_site"),
            models.Index(fields=["at", "id"], name="views_in_order"),
        ]

    class Sharding:
        database = "track"
        key = "site"
