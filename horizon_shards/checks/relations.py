"""Checks of foreign keys that leave a shard, a group, or the shards altogether."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.db import models
from django.db.models import Model, deletion

from horizon_shards.checks.catalogue import problem
from horizon_shards.checks.placing import colocated, declared, is_sharded
from horizon_shards.models.deletion import SHARD_HANDLERS

NO_CONSTRAINT = "Set db_constraint=False."


def check_relations(model: type[Model]) -> list[CheckMessage]:
    """The foreign keys of one model, whether it is sharded or not."""
    return [message for field in foreign_keys(model) for message in _check(model, field, field.related_model)]


def foreign_keys(model: type[Model]) -> Iterator[Any]:
    """The relations with columns of their own, but the links of multi-table inheritance.

    The automatic tables of many-to-many relations have checks of their own.
    """
    if model._meta.auto_created or model._meta.swapped:
        return
    for field in [*model._meta.local_fields, *model._meta.private_fields]:
        is_relation = isinstance(field, models.ForeignObject) and isinstance(field.related_model, type)
        if is_relation and not field.remote_field.parent_link:
            yield field


def _check(model: type[Model], field: Any, target: type[Model]) -> Iterator[CheckMessage]:
    mine, theirs = declared(model), declared(target)
    if mine is None and theirs is None:
        return
    if mine is None:
        yield from _from_unsharded(field, target)
    elif theirs is None:
        yield from _to_unsharded(field, target)
    elif mine.database != theirs.database:
        yield from _to_other_group(field, target)
    else:
        yield from _within_group(model, field, target)
    yield from _database_cascade(model, field, target)


def _constraint_elsewhere(field: Any, target: type[Model]) -> Iterator[CheckMessage]:
    if _has_constraint(field):
        yield problem(
            "E301",
            f"It has a database constraint, and {target._meta.label} is stored in another database.",
            hint=NO_CONSTRAINT,
            obj=field,
        )


def _from_unsharded(field: Any, target: type[Model]) -> Iterator[CheckMessage]:
    yield from _constraint_elsewhere(field, target)
    on_delete = _on_delete(field)
    carries = isinstance(field, models.ForeignKey) and getattr(field.target_field, "carries_bucket", False)
    if carries and on_delete is models.DO_NOTHING:
        return
    yield problem(
        "W308",
        f"It refers to {target._meta.label}, which is on shards: it cannot be joined, deleting one does not find this "
        "row, and without a sharded id reading one asks all shards.",
        hint="Refer to a ShardedIdField with on_delete=DO_NOTHING and db_constraint=False, or turn the relation round.",
        obj=field,
    )


def _to_unsharded(field: Any, target: type[Model]) -> Iterator[CheckMessage]:
    yield from _constraint_elsewhere(field, target)
    yield from _handler(field, target)


def _to_other_group(field: Any, target: type[Model]) -> Iterator[CheckMessage]:
    yield from _constraint_elsewhere(field, target)
    yield from _handler(field, target)
    yield problem(
        "W305",
        f"It refers to {target._meta.label} of the group {_database(target)!r}: the two cannot be joined.",
        hint="Read the related rows by a query of their own, or put both models into one group.",
        obj=field,
    )


def _handler(field: Any, target: type[Model]) -> Iterator[CheckMessage]:
    on_delete = _on_delete(field)
    if on_delete is models.DO_NOTHING or on_delete in SHARD_HANDLERS or _is_database_cascade(on_delete):
        return
    name = getattr(on_delete, "__name__", str(on_delete))
    yield problem(
        "E303",
        f"on_delete={name} would look for {field.model._meta.label} in the database of {target._meta.label}.",
        hint="Use SHARD_CASCADE, SHARD_PROTECT or SHARD_SET_NULL of horizon_shards.models.deletion, or DO_NOTHING.",
        obj=field,
    )


def _within_group(model: type[Model], field: Any, target: type[Model]) -> Iterator[CheckMessage]:
    if not is_sharded(target):
        return
    if not is_sharded(model):
        yield problem(
            "E307",
            f"It is in a reference model, which is on all shards, and {target._meta.label} is sharded: on most shards "
            "the related row is missing.",
            hint="Shard this model by the same key, or keep the related key without a foreign key.",
            obj=field,
        )
    elif _has_constraint(field) and not colocated(model, target):
        yield problem(
            "E302",
            f"It has a database constraint, and {target._meta.label} has another shard key: the related row may be on "
            "another shard.",
            hint=f"{NO_CONSTRAINT[:-1]}, or shard both models by the same key.",
            obj=field,
        )


def _database_cascade(model: type[Model], field: Any, target: type[Model]) -> Iterator[CheckMessage]:
    """On Django 6.1 the database itself can cascade: only where parent and child are on one shard."""
    on_delete = _on_delete(field)
    if not _is_database_cascade(on_delete) or (_has_constraint(field) and _same_shard(model, target)):
        return
    yield problem(
        "E304",
        f"on_delete={on_delete} leaves the deletion to a database that does not hold both rows.",
        hint="Use CASCADE or SET_NULL inside a group, the SHARD_ handlers of horizon_shards.models.deletion else.",
        obj=field,
    )


def _same_shard(model: type[Model], target: type[Model]) -> bool:
    mine, theirs = declared(model), declared(target)
    if mine is None or theirs is None or mine.database != theirs.database:
        return False
    return theirs.kind == "reference" or colocated(model, target)


def _is_database_cascade(on_delete: Any) -> bool:
    return isinstance(on_delete, getattr(deletion, "DatabaseOnDelete", ()))


def _on_delete(field: Any) -> Any:
    """The handler; a composite foreign key hides it behind its own."""
    return getattr(field, "on_delete", field.remote_field.on_delete)


def _has_constraint(field: Any) -> bool:
    return bool(getattr(field, "db_constraint", False))


def _database(model: type[Model]) -> str | None:
    declaration = declared(model)
    return None if declaration is None else declaration.database
