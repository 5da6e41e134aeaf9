"""The base classes of sharded and reference models, and sharding a model of somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

from django.apps import apps
from django.db import models

from horizon_shards import context
from horizon_shards.declarations import declaration_of, declare, key_fields, key_of
from horizon_shards.exceptions import InvalidShardKey, ShardKeyUpdate


class ReferenceModel(models.Model):
    """A small table that is copied to every shard: written to all of them, read from one.

    Declare ``class Sharding: database = "track"`` in the model.
    """

    class Meta:
        abstract = True


class ShardedModel(models.Model):
    """A model whose rows are spread over the shards of a logical database by their shard key.

    Declare ``class Sharding: database = "track"; key = "site"`` in the model or in an abstract parent; a
    composite key is a tuple of field names. Saving, deleting and refreshing an instance touches its one shard.
    """

    class Meta:
        abstract = True

    def _do_update(self, base_qs: models.QuerySet[Any], *args: Any, **kwargs: Any) -> Any:
        return _update(self, super()._do_update, base_qs, *args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        """Delete the row on its one shard, and what cascades from it."""
        result: tuple[int, dict[str, int]] = _delete(self, super().delete, *args, **kwargs)
        return result

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """Read the row again from its one shard."""
        _refresh(self, super().refresh_from_db, *args, **kwargs)


def shard_model(model: str | type[models.Model], *, database: str, key: str | Iterable[str] | None) -> None:
    """Shard a model that is not the project's own, as if it had a ``class Sharding``.

    ``model``: a label (``"app.Model"``) or the class. ``key``: field names, or None for a reference model.
    Call it where models are loaded (the ``models`` module of an app), before the first query.
    """
    label = model if isinstance(model, str) else model._meta.label
    declare(label, database=database, key=key)
    if key:
        apps.lazy_model_operation(_adopt, tuple(label.lower().split(".")))


def _adopt(model: type[models.Model]) -> None:
    """Give a foreign model the three methods by which an instance keeps to its shard."""
    if issubclass(model, ShardedModel) or "_horizon_adopted" in vars(model):
        return
    for name, behave in (("_do_update", _update), ("delete", _delete), ("refresh_from_db", _refresh)):
        setattr(model, name, _adopted(getattr(model, name), behave))
    model._horizon_adopted = True  # type: ignore[attr-defined]


def _adopted(original: Callable[..., Any], behave: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: models.Model, *args: Any, **kwargs: Any) -> Any:
        return behave(self, partial(original, self), *args, **kwargs)

    method.__name__, method.__doc__ = original.__name__, original.__doc__
    method.alters_data = getattr(original, "alters_data", False)  # type: ignore[attr-defined]
    return method


def _update(
    instance: models.Model, update: Callable[..., Any], base_qs: models.QuerySet[Any], *args: Any, **kwargs: Any
) -> Any:
    """UPDATE with the shard key in the condition; where that finds no row, see whether the key was changed."""
    declaration = declaration_of(type(instance))
    if declaration is None or declaration.database != base_qs.db:
        return update(base_qs, *args, **kwargs)
    fields = key_fields(type(instance))
    key_of(instance)  # raises for a missing part
    updated = update(base_qs.filter(**{f.attname: getattr(instance, f.attname) for f in fields}), *args, **kwargs)
    if not updated and not _key_in_pk(instance) and not _new_with_bucket(instance):
        _refuse_changed_key(instance, base_qs)
    return updated


def _refuse_changed_key(instance: models.Model, base_qs: models.QuerySet[Any]) -> None:
    with context.allow_scatter():
        if not base_qs.filter(pk=instance.pk).exists():
            return
    names = ", ".join(field.name for field in key_fields(type(instance)))
    raise ShardKeyUpdate(
        f"{instance._meta.label} {instance.pk!r} is stored under another shard key ({names}): saving cannot move a "
        "row to another shard. Use horizon_shards.models.move_row(instance, ...) instead."
    )


def _delete(instance: models.Model, delete: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    pk = instance.pk
    with _placed(instance):
        result = delete(*args, **kwargs)
    if not _needs_placing(instance) or result[1].get(instance._meta.label):
        return result
    # The key in memory may not be the stored one: look on every shard before saying that nothing was there.
    with context.allow_scatter():
        stored = type(instance)._base_manager.filter(pk=pk).first()
    if stored is None:
        return result
    instance.pk = pk
    with _placed(stored):
        return delete(*args, **kwargs)


def _refresh(instance: models.Model, refresh: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    try:
        with _placed(instance), context.reading_from_primary():
            refresh(*args, **kwargs)
        return
    except type(instance).DoesNotExist:  # type: ignore[attr-defined]
        if not _needs_placing(instance):
            raise
    with context.reading_from_primary():
        refresh(*args, **kwargs)


def _placed(instance: models.Model) -> AbstractContextManager[None]:
    """Tell the planner the key of an instance whose primary key does not tell its shard."""
    if not _needs_placing(instance):
        return nullcontext()
    try:
        return context.placed(instance._meta.label_lower, {instance.pk: key_of(instance)})
    except InvalidShardKey:
        return nullcontext()


def _needs_placing(instance: models.Model) -> bool:
    declaration = declaration_of(type(instance))
    return (
        declaration is not None
        and declaration.kind == "sharded"
        and not _key_in_pk(instance)
        and not _carries_bucket(instance)
        and not {field.attname for field in key_fields(type(instance))} & instance.get_deferred_fields()
    )


def _key_in_pk(instance: models.Model) -> bool:
    return set(key_fields(type(instance))) <= set(getattr(instance._meta, "pk_fields", [instance._meta.pk]))


def _carries_bucket(instance: models.Model) -> bool:
    return bool(getattr(instance._meta.pk, "carries_bucket", False))


def _new_with_bucket(instance: models.Model) -> bool:
    """A new row whose id carries its bucket: the insert itself compares id and key."""
    return instance._state.adding and _carries_bucket(instance)
