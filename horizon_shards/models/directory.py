"""The tables of a directory, as models for migrations and the admin; the package itself asks them in SQL."""

from __future__ import annotations

from django.db import models


class Assignment(models.Model):
    """Which shard holds a key."""

    id = models.BigAutoField(primary_key=True)
    logical_database = models.CharField(max_length=63)
    key_text = models.CharField(max_length=200, help_text="The key's canonical bytes in hex, or their digest.")
    label = models.CharField(max_length=200, help_text="The key for human eyes.")
    shard = models.CharField(max_length=63)
    bucket = models.PositiveIntegerField()

    class Meta:
        app_label = "horizon_shards"
        db_table = "horizon_shards_assignment"
        constraints = (models.UniqueConstraint(fields=["logical_database", "key_text"], name="horizon_shards_one_key"),)
        indexes = (models.Index(fields=["logical_database", "shard"], name="horizon_shards_by_shard"),)

    def __str__(self) -> str:
        return f"{self.logical_database} {self.label}: {self.shard}"


class Bucket(models.Model):
    """Which shard holds a bucket."""

    id = models.BigAutoField(primary_key=True)
    logical_database = models.CharField(max_length=63)
    bucket = models.PositiveIntegerField()
    shard = models.CharField(max_length=63)

    class Meta:
        app_label = "horizon_shards"
        db_table = "horizon_shards_bucket"
        constraints = (
            models.UniqueConstraint(fields=["logical_database", "bucket"], name="horizon_shards_one_bucket"),
        )

    def __str__(self) -> str:
        return f"{self.logical_database} bucket {self.bucket}: {self.shard}"


class Block(models.Model):
    """The next number that a counter gives out; numbers below it are leased or used."""

    id = models.BigAutoField(primary_key=True)
    logical_database = models.CharField(max_length=63)
    name = models.CharField(max_length=63)
    next_number = models.BigIntegerField()

    class Meta:
        app_label = "horizon_shards"
        db_table = "horizon_shards_block"
        constraints = (models.UniqueConstraint(fields=["logical_database", "name"], name="horizon_shards_one_block"),)

    def __str__(self) -> str:
        return f"{self.logical_database} {self.name}: {self.next_number}"


class Decision(models.Model):
    """What became of a transaction in two phases; kept until no shard has a part of it that is prepared."""

    id = models.BigAutoField(primary_key=True)
    logical_database = models.CharField(max_length=63)
    gid = models.CharField(max_length=63)
    outcome = models.CharField(max_length=10)
    shards = models.TextField(help_text="The names of the shards that were written to, in JSON.")
    decided_at = models.BigIntegerField(help_text="Seconds since 1970.")

    class Meta:
        app_label = "horizon_shards"
        db_table = "horizon_shards_decision"
        constraints = (models.UniqueConstraint(fields=["logical_database", "gid"], name="horizon_shards_one_decision"),)

    def __str__(self) -> str:
        return f"{self.logical_database} {self.gid}: {self.outcome}"
