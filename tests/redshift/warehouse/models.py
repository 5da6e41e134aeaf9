"""A small star: customers on all nodes, visits distributed by customer and sorted by time."""

from __future__ import annotations

import uuid

from django.db import models

from horizon_shards.backends.redshift.storage import DistKey, SortKey
from horizon_shards.fields import CompositeForeignKey


class Customer(models.Model):
    name = models.CharField(max_length=40)
    country = models.CharField(max_length=2, default="DE")

    class Redshift:
        diststyle = "all"
        sortkey = "name"


class Visit(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    at = models.DateTimeField()
    day = models.DateField(null=True)
    clock = models.TimeField(null=True)
    path = models.CharField(max_length=200, default="/")
    note = models.TextField(default="")
    length = models.DurationField(null=True)
    pages = models.IntegerField(default=0)
    share = models.FloatField(null=True)
    paid = models.DecimalField(max_digits=10, decimal_places=2, null=True)
    seen = models.BooleanField(default=False)
    token = models.UUIDField(default=uuid.uuid4)
    address = models.GenericIPAddressField(null=True)
    raw = models.BinaryField(default=b"")
    data = models.JSONField(default=dict)

    class Redshift:
        distkey = "customer"
        sortkey = ("at", "customer")
        encode = {"path": "zstd", "pages": "az64"}


class Old(models.Model):
    """Declared as django-redshift-backend has it."""

    group = models.IntegerField()
    created = models.DateTimeField()

    class Meta:
        indexes = [DistKey(fields=["group"], name="old_distkey")]
        ordering = [SortKey("-created")]


class Declared(models.Model):
    code = models.CharField(max_length=10, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer", "code"], name="one_code_a_customer")]

    class Redshift:
        distkey = "customer"
        declare = ("primary_key", "unique", "foreign_key")


class Vip(Customer):
    """Has a table of its own beside that of customers."""

    level = models.IntegerField(default=1)


class Mark(models.Model):
    """Refers to a customer by text, as a generic relation does."""

    about = models.CharField(max_length=20)
    customer = models.ForeignObject(
        Customer, models.DO_NOTHING, from_fields=["about"], to_fields=["id"], related_name="marks"
    )


class Incoming(models.Model):
    """What is loaded first and then moved."""

    name = models.CharField(max_length=40)

    class Redshift:
        diststyle = "all"


class Arrived(models.Model):
    """Where it is moved."""

    name = models.CharField(max_length=40)
    note = models.TextField(null=True)
    made = models.DateTimeField(auto_now_add=True, null=True)
    changed = models.DateTimeField(auto_now=True, null=True)
    rank = models.IntegerField(db_default=7)

    class Redshift:
        diststyle = "all"


class Basket(models.Model):
    """Distributed by customer; its lines refer to it by both columns, or by its number alone."""

    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    at = models.DateTimeField()

    class Redshift:
        distkey = "customer"
        sortkey = "at"


class BasketLine(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    basket_no = models.BigIntegerField()
    basket = CompositeForeignKey(
        Basket, models.CASCADE, to_fields={"customer": "customer", "id": "basket_no"}, related_name="lines"
    )
    loose = models.ForeignKey(Basket, on_delete=models.CASCADE, null=True, related_name="loose_lines")
    label = models.TextField(default="")

    class Redshift:
        distkey = "customer"
        sortkey = "customer"


class Event(models.Model):
    """What Firehose delivered; an event of a customer is there once."""

    customer_no = models.BigIntegerField()
    event_id = models.UUIDField(default=uuid.uuid4)
    at = models.DateTimeField()
    day = models.DateField(null=True)
    clock = models.TimeField(null=True)
    path = models.CharField(max_length=20, default="/")
    length = models.DurationField(null=True)
    share = models.FloatField(null=True)
    paid = models.DecimalField(max_digits=20, decimal_places=10, null=True)
    seen = models.BooleanField(default=False)
    data = models.JSONField(default=dict)
    made = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["customer_no", "event_id"], name="one_event_a_customer")]

    class Redshift:
        distkey = "customer_no"
        sortkey = "at"


class Loose(models.Model):
    """Nothing says that an event is there once."""

    event_id = models.UUIDField()

    class Redshift:
        diststyle = "all"


class Pair(models.Model):
    """Has a key of two columns."""

    pk = models.CompositePrimaryKey("a", "b")
    a = models.IntegerField()
    b = models.IntegerField()
    rank = models.IntegerField()

    class Meta:
        ordering = ["-rank", "-a"]
