"""Models whose rows are collected: one on shards, one in ``default``; each with an event id."""

from __future__ import annotations

import uuid

from django.db import models

from horizon_shards.fields import ShardedIdField
from horizon_shards.models import ShardedModel
from horizon_shards.models.deletion import SHARD_CASCADE


class Hit(ShardedModel):
    """Sharded by site; an event is stored once."""

    id = ShardedIdField(primary_key=True)
    site = models.ForeignKey("shop.Site", on_delete=SHARD_CASCADE, db_constraint=False)
    event_id = models.UUIDField(default=uuid.uuid4)
    path = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    took = models.DurationField(null=True)
    extra = models.JSONField(default=dict)
    seen = models.DateTimeField(auto_now_add=True)
    day = models.DateField(null=True, db_column="day_of")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site", "event_id"], name="one_hit_an_event")]

    class Sharding:
        database = "track"
        key = "site"


class Note(models.Model):
    """In ``default``, numbered by the database."""

    event_id = models.UUIDField(default=uuid.uuid4, unique=True)
    text = models.CharField(max_length=20, unique=True)


class StoredHit(models.Model):
    """In ``default``: where hits are loaded; an event of a site is stored once."""

    id = models.BigIntegerField(primary_key=True)
    site_id = models.IntegerField()
    event_id = models.UUIDField(default=uuid.uuid4)
    path = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    took = models.DurationField(null=True)
    extra = models.JSONField(default=dict)
    seen = models.DateTimeField(auto_now_add=True)
    day = models.DateField(null=True, db_column="day_of")
    raw = models.BinaryField(default=b"")
    loaded = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["site_id", "event_id"], name="one_stored_hit_an_event")]
