"""A sharded model, and one that a data migration fills from it."""

from __future__ import annotations

from django.db import models

from horizon_shards.fields import ShardedIdField
from horizon_shards.models import ShardedModel


class Page(ShardedModel):
    id = ShardedIdField(primary_key=True)
    site = models.IntegerField()
    path = models.CharField(max_length=100)

    class Meta:
        indexes = [models.Index(fields=["site"], name="rollout_page_site")]

    class Sharding:
        database = "track"
        key = "site"


class Copy(ShardedModel):
    id = ShardedIdField(primary_key=True)
    site = models.IntegerField()
    path = models.CharField(max_length=100)

    class Sharding:
        database = "track"
        key = "site"


class Setting(models.Model):
    """Unsharded: it is made in ``default`` alone."""

    name = models.CharField(max_length=100)
