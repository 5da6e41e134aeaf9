"""Moving one row to the shard of another key."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from django.db import models, transaction

from horizon_shards import context
from horizon_shards.declarations import declaration_of, key_of
from horizon_shards.exceptions import MisplacedRow
from horizon_shards.placement import placement_of

M = TypeVar("M", bound=models.Model)


def move_row(instance: M, **changes: Any) -> M:
    """Store ``instance`` under a new shard key: insert it on the new key's shard, then delete it on the old one.

    ``changes``: field values, the new key among them. Returns the new instance; a sharded id is made anew,
    because it carries the bucket. Rows that refer to the old one are not moved: while there are any on the
    shards, ``MisplacedRow`` is raised. Both steps are one transaction of the logical database.
    """
    declaration = declaration_of(type(instance))
    if declaration is None or declaration.kind != "sharded":
        raise TypeError(f"{instance._meta.label} is not a sharded model: assign the fields and save.")
    with context.allow_scatter(), context.allow_cross_shard(), transaction.atomic(using=declaration.database):
        _refuse_children(instance)
        moved, old = _copy(instance, changes), copy.copy(instance)
        if _new_id(moved) or _is_elsewhere(moved, old):
            # In this order a commit that fails between the two shards leaves the row twice, not nowhere.
            moved.save(force_insert=True)
            old.delete()
        else:
            old.delete()
            moved.save(force_insert=True)
    return moved


def _is_elsewhere(moved: models.Model, old: models.Model) -> bool:
    placement = placement_of(type(old))
    assert placement is not None
    new_key, old_key = key_of(moved), key_of(old)
    shards = placement.place([new_key, old_key])
    return shards[new_key] != shards[old_key]


def _copy(instance: M, changes: dict[str, Any]) -> M:
    moved = copy.copy(instance)
    moved._state = copy.copy(instance._state)
    moved._state.fields_cache = {}
    moved._state.adding = True
    for name, value in changes.items():
        setattr(moved, name, value)
    return moved


def _new_id(moved: models.Model) -> bool:
    """Take a sharded id away, so that saving makes one of the new bucket; say whether that was done."""
    if getattr(moved._meta.pk, "carries_bucket", False):
        moved.pk = None
        return True
    return False


def _refuse_children(instance: models.Model) -> None:
    for relation in instance._meta.related_objects:
        field = relation.field
        if not isinstance(field, models.ForeignObject) or declaration_of(field.model) is None:
            continue
        if field.model._base_manager.filter(**{field.name: instance}).exists():
            raise MisplacedRow(
                f"{instance._meta.label} {instance.pk!r} cannot be moved alone: {field.model._meta.label}.{field.name} "
                "refers to it. Move or delete those rows first."
            )
