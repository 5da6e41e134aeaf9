"""Orders and their lines, spread over clusters by shop, and on each cluster over its nodes by shop, too."""

from __future__ import annotations

from django.db import models

from horizon_shards.fields import CompositeForeignKey, ShardedIdField
from horizon_shards.models import ReferenceModel, ShardedModel


class Article(ReferenceModel):
    """On every cluster."""

    id = models.BigIntegerField(primary_key=True)
    name = models.CharField(max_length=40)

    class Sharding:
        database = "fleet"

    class Redshift:
        diststyle = "all"


class Order(ShardedModel):
    id = ShardedIdField(primary_key=True)
    shop = models.IntegerField()
    at = models.DateTimeField()
    paid = models.DecimalField(max_digits=10, decimal_places=2)
    note = models.CharField(max_length=40, default="")
    data = models.JSONField(default=dict)

    class Sharding:
        database = "fleet"
        key = "shop"

    class Redshift:
        distkey = "shop"
        sortkey = "at"


class Line(ShardedModel):
    id = ShardedIdField(primary_key=True)
    shop = models.IntegerField()
    order_no = models.BigIntegerField()
    order = CompositeForeignKey(
        Order, models.CASCADE, to_fields={"shop": "shop", "id": "order_no"}, related_name="lines"
    )
    article = models.ForeignKey(Article, on_delete=models.DO_NOTHING, db_constraint=False)
    count = models.IntegerField()

    class Sharding:
        database = "fleet"
        key = "shop"

    class Redshift:
        distkey = "shop"
        sortkey = "shop"
