"""``on_delete`` handlers for foreign keys from sharded to unsharded models.

Django looks for the children in the parent's database; these look on the shards.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import models
from django.db.models.deletion import CASCADE, PROTECT, SET_NULL, Collector

from horizon_shards import context
from horizon_shards.declarations import declaration_of


class OnShards:
    """Work of a deletion that happens on the shards, when the collector of the parent deletes.

    A stand-in for the querysets of ``Collector.fast_deletes``. The shards commit by themselves, before the
    parent does; to have both or neither, delete inside ``atomic(using=<logical alias>)``.
    """

    def __init__(self, model: type[models.Model], work: Callable[[], int]) -> None:
        self.model = model
        self.work = work

    def _raw_delete(self, using: str) -> int:
        with context.allow_scatter(), context.allow_cross_shard():
            return self.work()


def SHARD_CASCADE(collector: Any, field: Any, sub_objs: Any, using: str) -> None:
    """Delete the children on the shards, and what cascades from them, before the parent is deleted."""
    if (children := _on_shards(field, sub_objs, using)) is None:
        return CASCADE(collector, field, sub_objs, using)
    nested = Collector(using=children.db, origin=getattr(collector, "origin", None))
    with context.allow_scatter():
        nested.collect(children)
    _delete_with(collector, field.model, nested)


def _delete_with(collector: Any, model: type[models.Model], nested: Collector) -> None:
    """Let ``collector`` run ``nested``, and count what that deletes under the models it belongs to."""
    counts: dict[str, int] = {}

    def delete() -> int:
        counts.update(nested.delete()[1])
        return counts.pop(model._meta.label, 0)

    collector.fast_deletes.append(OnShards(model, delete))
    others = {*nested.data, *(queryset.model for queryset in nested.fast_deletes)} - {model}
    for other in others:
        collector.fast_deletes.append(OnShards(other, partial(counts.pop, other._meta.label, 0)))


def SHARD_PROTECT(collector: Any, field: Any, sub_objs: Any, using: str) -> None:
    """Raise ``ProtectedError`` where a child exists on any shard."""
    children: Any = _on_shards(field, sub_objs, using)
    if children is None:
        children = sub_objs
    with context.allow_scatter():
        found = list(children[:1])
    if found:
        PROTECT(collector, field, found, using)  # type: ignore[arg-type]


def SHARD_SET_NULL(collector: Any, field: Any, sub_objs: Any, using: str) -> None:
    """Set the children's foreign key to NULL on the shards, before the parent is deleted."""
    if (children := _on_shards(field, sub_objs, using)) is None:
        return SET_NULL(collector, field, sub_objs, using)

    def set_null() -> int:
        columns = field.null_columns() if hasattr(field, "null_columns") else {field.name: None}
        children.update(**columns)
        return 0

    collector.fast_deletes.append(OnShards(field.model, set_null))


# Django would evaluate the children in the parent's database otherwise.
for handler in (SHARD_CASCADE, SHARD_PROTECT, SHARD_SET_NULL):
    handler.lazy_sub_objs = True  # type: ignore[attr-defined]

#: The handlers that a foreign key from a sharded to an unsharded model may have, beside ``DO_NOTHING``.
SHARD_HANDLERS = (SHARD_CASCADE, SHARD_PROTECT, SHARD_SET_NULL)


def _on_shards(field: Any, sub_objs: Any, using: str) -> Any:
    """The children as a query on their logical database, or None where they are in the parent's."""
    declaration = declaration_of(field.model)
    if declaration is None or declaration.database == using:
        return None
    return sub_objs.using(declaration.database).select_related(None)
