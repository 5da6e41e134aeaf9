"""Where the number and the bucket of a new id come from: the declaration of the instance's model."""

from __future__ import annotations

from typing import Any

from django.db.models import Field, Model

from horizon_shards.declarations import key_of
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.ids import source_of
from horizon_shards.placement import Placement, placement_of
from horizon_shards.topology import Group


def number_and_bucket(field: Field[Any, Any], instance: Model) -> tuple[int, int]:
    """A new number, and the bucket that the instance belongs to.

    Raises ``ConfigurationError`` where the model is not sharded or its group has no directory, and
    ``InvalidShardKey`` where the instance has no shard key yet.
    """
    placement = _placement(field, type(instance))
    if _is_own_key(field, placement):
        number = _number(field, placement.group)
        return number, placement.group.mapping.bucket(number)
    bucket = placement.bucket_of_key(key_of(instance))
    return _number(field, placement.group), bucket


def _placement(field: Field[Any, Any], model: type[Model]) -> Placement:
    placement = placement_of(model)
    if placement is None:
        raise ConfigurationError(
            f"{model._meta.label}.{field.name} is a {type(field).__name__}, but the model is not sharded: derive it "
            "from ShardedModel with a class Sharding, call shard_model(), or use a BigAutoField."
        )
    return placement


def _is_own_key(field: Field[Any, Any], placement: Placement) -> bool:
    """Whether the id decides the shard: the model is keyed by it, or is a reference model without a key."""
    key = placement.declaration.key
    if len(key) > 1 and field.name in key:
        raise ConfigurationError(
            f"{placement.declaration.label} has the composite shard key {key!r}, which holds its own "
            f"{type(field).__name__} {field.name!r}: an id cannot carry the bucket of a key it is part of."
        )
    return not key or key == (field.name,)


def _number(field: Field[Any, Any], group: Group) -> int:
    if group.directory is None:
        raise ConfigurationError(
            f"{field.model._meta.label}.{field.name} needs a directory to lease numbers from: set "
            f"DATABASES[{group.alias!r}]['DIRECTORY'] to the alias of an ordinary database, and migrate that one."
        )
    return source_of(group.directory).number()
