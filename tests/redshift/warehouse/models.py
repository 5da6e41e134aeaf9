"""A small star: customers on all nodes, visits distributed by customer and sorted by time."""

from __future__ import annotations

import uuid

from django.db import models

from horizon_shards.backends.redshift.storage import DistKey, SortKey


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
