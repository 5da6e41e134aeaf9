"""Checks of what is to be unique: over the shards that holds only with the shard key or a sharded id."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.checks import CheckMessage
from django.db import models
from django.db.models import Model

from horizon_shards.backends.sharded.conflicts import unique_constraints
from horizon_shards.checks.catalogue import problem
from horizon_shards.checks.placing import declared, is_sharded, tells_shard

CURE = "Add the shard key ({key}) to it. Silence this check where a guarantee for each shard is what you want."


def check_uniqueness(model: type[Model]) -> list[CheckMessage]:
    """The primary key and the unique constraints of one sharded model."""
    if not is_sharded(model) or model._meta.auto_created:
        return []
    return [*_primary_key(model), *_unique(model)]


def _primary_key(model: type[Model]) -> Iterator[CheckMessage]:
    pk = model._meta.pk
    names = tuple(field.name for field in getattr(model._meta, "pk_fields", [pk]))
    if isinstance(pk, models.AutoField):
        yield problem(
            "E208",
            f"The primary key {pk.name!r} is an auto-increment number: every shard counts from 1, and ids collide.",
            hint="Use id = ShardedIdField(primary_key=True) from horizon_shards.fields, or a UUID.",
            obj=model,
        )
    elif not tells_shard(model, names):
        yield problem(
            "W209",
            f"The primary key ({', '.join(names)}) is unique for each shard only.",
            hint="Use a ShardedIdField, a UUIDField, or a CompositePrimaryKey that contains the shard key.",
            obj=model,
        )


def _unique(model: type[Model]) -> Iterator[CheckMessage]:
    declaration = declared(model)
    key = ", ".join(declaration.key) if declaration else ""
    for what, names in unique_constraints(model):
        if not tells_shard(model, names):
            yield problem(
                "W207",
                f"{what} is unique for each shard only: two shards may hold the same values.",
                hint=CURE.format(key=key),
                obj=model,
            )
