"""The models of the tests: every kind of declaration, relation and key."""

from __future__ import annotations

import uuid
from string import ascii_lowercase

from django.db import models

from horizon_shards.fields import CompositeForeignKey, ShardedIdField, ShardedUUIDField
from horizon_shards.models import ReferenceModel, ShardedModel
from horizon_shards.models.deletion import SHARD_CASCADE, SHARD_PROTECT, SHARD_SET_NULL


class Site(models.Model):
    """Unsharded: lives in ``default``; the key of the group ``track``."""

    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Country(ReferenceModel):
    """A reference model: the same rows on all shards of ``track``."""

    code = models.CharField(max_length=2, unique=True)
    name = models.CharField(max_length=100)
    facts = models.JSONField(null=True)

    class Sharding:
        database = "track"


class OfSite(ShardedModel):
    """An abstract parent that passes its ``Sharding`` on."""

    id = ShardedIdField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=SHARD_CASCADE, db_constraint=False)

    class Meta:
        abstract = True

    class Sharding:
        database = "track"
        key = "site"


MIRRORED = str.maketrans(ascii_lowercase, ascii_lowercase[::-1])


class Shown(str):
    """A text as Python shows it; a database stores and compares another."""

    @property
    def stored(self) -> str:
        return self.translate(MIRRORED)


class MirroredField(models.CharField):  # type: ignore[type-arg]
    """A text that the database stores with z for a, y for b: Python shows another value than the database compares."""

    def from_db_value(self, value: str | None, *_: object) -> str | None:
        return None if value is None else Shown(value.translate(MIRRORED))

    def get_prep_value(self, value: object) -> str | None:
        text = super().get_prep_value(value)
        return None if text is None else text.translate(MIRRORED)


class Visitor(OfSite):
    """Sharded by site; the parent of visits."""

    name = models.CharField(max_length=100)
    nick = models.CharField(max_length=100, null=True)
    badge = MirroredField(max_length=100, null=True)
    joined = models.DateField(null=True)


class Tag(OfSite):
    """Sharded by site; the far side of a many-to-many relation."""

    name = models.CharField(max_length=50)


class Visit(OfSite):
    """Sharded by site; its visitor is on the same shard because the database enforces the foreign key."""

    visitor = models.ForeignKey(Visitor, on_delete=models.CASCADE, related_name="visits")
    country = models.ForeignKey(Country, on_delete=models.PROTECT, null=True)
    editor = models.ForeignKey("auth.User", on_delete=SHARD_SET_NULL, null=True, db_constraint=False)
    path = models.CharField(max_length=200)
    ms = models.IntegerField(null=True)
    price = models.DecimalField(max_digits=12, decimal_places=2, null=True)
    ratio = models.FloatField(null=True)
    bot = models.BooleanField(default=False)
    token = models.UUIDField(default=uuid.uuid4)
    at = models.DateTimeField(null=True)
    took = models.DurationField(null=True)
    extra = models.JSONField(default=dict)
    tags = models.ManyToManyField(Tag, through="Tagging", related_name="visits")

    class Meta(OfSite.Meta):
        abstract = False
        constraints = [models.UniqueConstraint(fields=["site", "token"], name="one_token_a_site")]


class Tagging(OfSite):
    """The explicit through model of a many-to-many relation, with the key."""

    visit = models.ForeignKey(Visit, on_delete=models.CASCADE)
    tag = models.ForeignKey(Tag, on_delete=models.CASCADE)


class Basket(OfSite):
    """With an automatic many-to-many table, whose rows each shard numbers for itself."""

    tags = models.ManyToManyField(Tag, related_name="baskets")


class Invoice(ShardedModel):
    """A composite primary key of shard key and number."""

    pk = models.CompositePrimaryKey("site_id", "number")
    site = models.ForeignKey(Site, on_delete=SHARD_PROTECT, db_constraint=False)
    number = models.IntegerField()
    total = models.DecimalField(max_digits=12, decimal_places=2)

    class Sharding:
        database = "track"
        key = "site"


class Ticket(OfSite):
    """Refers by (site, id): nothing but the key says that the related row is on its shard, or that there is one."""

    text = models.CharField(max_length=100)
    visitor_no = models.BigIntegerField()
    visitor = CompositeForeignKey(Visitor, models.CASCADE, {"site": "site", "id": "visitor_no"}, related_name="tickets")
    visit_no = models.BigIntegerField(null=True)
    visit = CompositeForeignKey(
        Visit, models.SET_NULL, {"site": "site", "id": "visit_no"}, null=True, related_name="tickets"
    )
    invoice_no = models.IntegerField(null=True)
    invoice = CompositeForeignKey(
        Invoice, models.CASCADE, {"site": "site", "number": "invoice_no"}, null=True, related_name="tickets"
    )


class Account(ShardedModel):
    """Keyed by its own id, which carries the bucket."""

    id = ShardedIdField(primary_key=True)
    email = models.CharField(max_length=100)

    class Sharding:
        database = "track"
        key = "id"


class Order(ShardedModel):
    """Keyed by the account's sharded id: with the account on one shard."""

    id = ShardedIdField(primary_key=True)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_constraint=False, related_name="orders")
    amount = models.IntegerField()

    class Sharding:
        database = "track"
        key = "account"


class Label(models.Model):
    """Unsharded: lives in ``default``; known by a text."""

    code = models.CharField(max_length=20, primary_key=True)
    title = models.CharField(max_length=50)


class Club(OfSite):
    """Of a site; its members are accounts on whatever shards."""

    name = models.CharField(max_length=50)
    founder = models.ForeignKey(Account, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+")
    label = models.ForeignKey(Label, on_delete=models.DO_NOTHING, null=True, db_constraint=False, related_name="+")
    size = models.IntegerField(null=True)
    sized = models.ForeignObject(Label, models.DO_NOTHING, ["size"], ["code"], null=True, related_name="+")
    members = models.ManyToManyField(Account, through="Membership", related_name="clubs")


class Membership(OfSite):
    """On the club's shard: nothing keeps it with the account."""

    club = models.ForeignKey(Club, on_delete=models.CASCADE)
    account = models.ForeignKey(Account, on_delete=models.DO_NOTHING, db_constraint=False)


class Customer(ShardedModel):
    """Of the group ``crm``: a text key with a directory row each; a UUID that carries nothing."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    tenant = models.CharField(max_length=100)
    name = models.CharField(max_length=100)

    class Sharding:
        database = "crm"
        key = "tenant"


class Entry(ShardedModel):
    """Of the group ``log``: a composite key of region and day."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    region = models.CharField(max_length=20)
    day = models.DateField()
    line = models.TextField()

    class Sharding:
        database = "log"
        key = ("region", "day")


class Session(ShardedModel):
    """A UUID form of the sharded id."""

    id = ShardedUUIDField(primary_key=True)
    site = models.ForeignKey(Site, on_delete=SHARD_CASCADE, db_constraint=False)
    started = models.DateTimeField(null=True)

    class Sharding:
        database = "track"
        key = "site"
