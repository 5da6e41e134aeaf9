"""Where the rows of a model are: from columns and values to shards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any, TypeAlias, cast

from django.core.exceptions import ValidationError
from django.db import connections
from django.db.models import CharField, Field, ForeignKey, Model, TextField
from django.db.models.fields import AutoFieldMixin

from horizon_shards.declarations import Declaration, declaration_of, final_field, key_fields, to_key_part
from horizon_shards.exceptions import InvalidShardKey
from horizon_shards.topology import Group, get_group

AnyField: TypeAlias = "Field[Any, Any]"

#: Collations under which the database calls two texts equal only where their bytes are.
BINARY_COLLATIONS = {"binary", "c", "posix", "ucs_basic", "c.utf-8", "c.utf8"}


class Placement:
    """A sharded or reference model, with what its columns tell of the shard of a row."""

    def __init__(self, model: type[Model], declaration: Declaration, group: Group) -> None:
        self.model = model
        self.declaration = declaration
        self.database = declaration.database
        self.group = group
        self.sharded = declaration.kind == "sharded"
        self.key: tuple[AnyField, ...] = key_fields(model) if self.sharded else ()
        self.key_columns = tuple(str(field.column) for field in self.key)

    @cached_property
    def carrier(self) -> Any:
        """The field, reached through foreign keys, whose values are the key and carry their bucket; or None."""
        if len(self.key) != 1 or not self.group.mapping.uses_buckets:
            return None
        target = final_field(self.key[0])
        return target if getattr(target, "carries_bucket", False) else None

    @cached_property
    def key_is_exact(self) -> bool:
        """Whether ``key = value`` in the database finds the rows of exactly this value's hash.

        Under a case-insensitive collation it finds more, so the key cannot narrow a query.
        """
        vendor = connections[self.group.config.shards[0].primary].vendor
        return all(_equality_is_exact(final_field(field), field, vendor) for field in self.key)

    @cached_property
    def bucket_columns(self) -> dict[str, Any]:
        """Columns other than the key whose values carry the bucket of their row: ``{column: field}``.

        A sharded id always; a foreign key to one where the database enforces it on the shard.
        """
        if not self.sharded or not self.group.mapping.uses_buckets:
            return {}
        found: dict[str, Any] = {}
        for field in self.model._meta.concrete_fields:
            target = final_field(field)
            if not getattr(target, "carries_bucket", False) or field in self.key:
                continue
            if field is target or is_enforced(field, self.group):
                found[str(field.column)] = target
        return found

    @cached_property
    def telling_columns(self) -> frozenset[str]:
        """Columns whose values may say on which shard a row is: of the key, with a bucket, and the primary key."""
        return frozenset({*self.key_columns, *self.bucket_columns, str(self.model._meta.pk.column)})

    @cached_property
    def pk_repeats(self) -> bool:
        """Whether shards number their rows by themselves, as automatic many-to-many tables do: an id tells no row."""
        pk: Any = self.model._meta.pk
        return self.sharded and pk not in self.key and isinstance(pk, AutoFieldMixin)

    @cached_property
    def own_ids(self) -> list[Any]:
        """The sharded id fields of the model that are made from its key."""
        if not self.sharded or not self.group.mapping.uses_buckets:
            return []
        return [
            field
            for field in self.model._meta.concrete_fields
            if getattr(field, "carries_bucket", False) and field not in self.key
        ]

    def shards_of_keys(self, keys: Iterable[Any]) -> frozenset[str]:
        """The shards that hold any of the keys; never allocates, and a key that nobody holds has none."""
        if self.carrier is not None:
            return self.shards_of_buckets(self.carrier.bucket_of(key) for key in keys)
        found = self.group.mapping.resolve_many(list(keys))
        return frozenset(shard for shard in found.values() if shard is not None)

    def shards_of_buckets(self, buckets: Iterable[int | None]) -> frozenset[str]:
        """The shards of the buckets; None stands for a value that no row can have."""
        shard_of = self.group.mapping.shard_of_bucket
        found = {shard_of(bucket) for bucket in buckets if bucket is not None}
        return frozenset(shard for shard in found if shard is not None)

    def place(self, keys: Sequence[Any]) -> dict[Any, str]:
        """The shard of each key, allocated where it is new; raises for a key that cannot be placed."""
        if self.carrier is None:
            return self.group.mapping.place_many(keys)
        return {key: self.group.mapping.place_bucket(self.bucket_of_key(key)) for key in keys}

    def bucket_of_key(self, key: Any) -> int:
        """The bucket of a key, read from the key itself where it is a sharded id."""
        if self.carrier is None:
            return self.group.mapping.bucket(key)
        bucket = self.carrier.bucket_of(key)
        if bucket is None:
            raise InvalidShardKey(
                f"{key!r} is not a sharded id: {self.model._meta.label}.{self.key[0].name} is keyed by one. "
                "Save the row it refers to first, or let ShardedIdField make the id."
            )
        return int(bucket)

    def convert(self, values: Sequence[Any]) -> Any:
        """The key from its parts (in the order of ``key``), in canonical types; None where a part has none."""
        try:
            parts = tuple(to_key_part(field, value) for field, value in zip(self.key, values, strict=True))
        except (ValidationError, InvalidShardKey, ValueError, TypeError):
            return None
        return parts[0] if len(parts) == 1 else parts


def placement_of(model: type[Model]) -> Placement | None:
    """The placement of a model, or None for an unsharded one; remembered by the group it belongs to."""
    declaration = declaration_of(model)
    if declaration is None:
        return None
    group = get_group(declaration.database)
    concrete = model._meta.concrete_model or model
    found = group.placements.get(concrete)
    if found is None or found.declaration is not declaration:
        found = Placement(concrete, declaration, group)
        # Historical models are made anew by every migration: remembering them would keep them alive.
        if not concrete.__module__.startswith("__fake__"):
            group.placements[concrete] = found
    return cast(Placement, found)


def is_enforced(field: AnyField, group: Group) -> bool:
    """Whether the database of each shard guarantees that the row a foreign key names is on the same shard."""
    if not isinstance(field, ForeignKey) or not getattr(field, "db_constraint", True):
        return False
    target = placement_of(field.remote_field.model)
    if target is None or not target.sharded or target.database != group.alias:
        return False
    features = connections[group.config.shards[0].primary].features
    return bool(features.supports_foreign_keys)


def are_linked(left: Placement, left_field: AnyField, right: Placement, right_field: AnyField) -> bool:
    """Whether ``left_field = right_field`` implies that both rows are on the same shard."""
    if left.database != right.database or not (left.sharded and right.sharded):
        return False
    if left.key == (left_field,) and right.key == (right_field,):
        return True
    return _refers(left, left_field, right, right_field) or _refers(right, right_field, left, left_field)


def _refers(owner: Placement, field: AnyField, target: Placement, target_field: AnyField) -> bool:
    """Whether ``field`` of ``owner`` is a foreign key to ``target_field`` that cannot leave the shard."""
    if not isinstance(field, ForeignKey) or field.target_field != target_field:
        return False
    if is_enforced(field, owner.group):
        return True
    if owner.key != (field,):
        return False
    return target.key == (target_field,) or (owner.carrier is not None and target_field.column in target.bucket_columns)


def _equality_is_exact(target: AnyField, field: AnyField, vendor: str) -> bool:
    if not isinstance(target, CharField | TextField):
        return True
    collation = getattr(field, "db_collation", None) or getattr(target, "db_collation", None)
    if collation is None:
        return vendor != "mysql"
    return collation.lower() in BINARY_COLLATIONS or collation.lower().endswith("_bin")
