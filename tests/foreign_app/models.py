"""Plain models that know nothing of shards; the last lines are what a project writes to shard them."""

from __future__ import annotations

import uuid

from django.db import models

from horizon_shards.models import shard_model


class Note(models.Model):
    """To be sharded by its owner; the id tells nothing of a shard."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    owner = models.IntegerField()
    text = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.text

    def delete(self, *args: object, **kwargs: object) -> tuple[int, dict[str, int]]:
        """A method of the app's own, which has to go on working."""
        Note.deleted.append(self.text)
        return super().delete(*args, **kwargs)  # type: ignore[arg-type]

    deleted: list[str] = []


class Kind(models.Model):
    """To be copied to all shards."""

    name = models.CharField(max_length=50, unique=True)


class Untouched(models.Model):
    """Stays where Django puts it."""

    name = models.CharField(max_length=50)


shard_model("foreign_app.Note", database="track", key="owner")
shard_model(Kind, database="track", key=None)
