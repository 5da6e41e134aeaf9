"""Checks of automatic many-to-many tables, which have no column for a shard key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.db.models import Model

from horizon_shards.checks.catalogue import problem
from horizon_shards.checks.placing import colocated, declared, is_sharded
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.topology import get_group

THROUGH = "Write the model of the table yourself, with the shard key in it, and name it by through=."


def check_many_to_many(model: type[Model]) -> list[CheckMessage]:
    """The many-to-many relations of one model whose table Django makes."""
    if model._meta.swapped:
        return []
    return [
        message
        for field in model._meta.local_many_to_many
        if _is_automatic(field)
        for message in _check(model, field, field.related_model)
    ]


def _is_automatic(field: Any) -> bool:
    through = field.remote_field.through
    return isinstance(field.related_model, type) and isinstance(through, type) and bool(through._meta.auto_created)  # type: ignore[attr-defined]


def _check(model: type[Model], field: Any, target: type[Model]) -> Iterator[CheckMessage]:
    mine, theirs = declared(model), declared(target)
    if mine is None:
        if theirs is not None:
            yield _from_unsharded(field, target)
    elif theirs is None:
        yield _to_unsharded(field, target)
    elif mine.database != theirs.database:
        yield _between_groups(model, field, target)
    elif mine.kind == "sharded":
        yield from _in_one_group(model, field, target)
    elif theirs.kind == "sharded":
        yield _from_reference(field, target)


def _from_unsharded(field: Any, target: type[Model]) -> CheckMessage:
    return problem(
        "W308",
        f"Its table is in the database of {field.model._meta.label}, and {target._meta.label} is on shards: the two "
        "cannot be joined.",
        hint=f"{THROUGH} Shard that model by the key of {target._meta.label}.",
        obj=field,
    )


def _to_unsharded(field: Any, target: type[Model]) -> CheckMessage:
    return problem(
        "E309",
        f"Its table is on the shards, and {target._meta.label} is not: the two cannot be joined, and deleting a "
        f"{target._meta.object_name} would look for the rows in the wrong database.",
        hint=THROUGH,
        obj=field,
    )


def _between_groups(model: type[Model], field: Any, target: type[Model]) -> CheckMessage:
    return problem(
        "W305",
        f"It joins {model._meta.label} and {target._meta.label} of another group of shards.",
        hint="Put both models into one group.",
        obj=field,
    )


def _from_reference(field: Any, target: type[Model]) -> CheckMessage:
    return problem(
        "E307",
        f"Its table would be on all shards like its reference model, and {target._meta.label} is sharded.",
        hint=f"Declare the relation in {target._meta.label}.",
        obj=field,
    )


def _in_one_group(model: type[Model], field: Any, target: type[Model]) -> Iterator[CheckMessage]:
    if not _bucket_tells_shard(model):
        yield problem(
            "E306",
            f"The automatic table of {model._meta.label} has no column for the shard key.",
            hint=f"{THROUGH} Or give the model a ShardedIdField, and its group a mapping by buckets.",
            obj=field,
        )
    elif is_sharded(target) and field.remote_field.db_constraint and not colocated(model, target):
        yield problem(
            "E302",
            f"Its table has a database constraint to {target._meta.label}, which has another shard key.",
            hint="Set db_constraint=False, or shard both models by the same key.",
            obj=field,
        )


def _bucket_tells_shard(model: type[Model]) -> bool:
    declaration = declared(model)
    if declaration is None or not getattr(model._meta.pk, "carries_bucket", False):
        return False
    try:
        return get_group(declaration.database).mapping.uses_buckets
    except ConfigurationError:
        return True  # told by the checks of the settings
