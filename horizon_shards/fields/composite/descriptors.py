"""Attributes of models that have a composite foreign key, or are referred to by one."""

from __future__ import annotations

from typing import Any

from django.db import router, transaction
from django.db.models import Model
from django.db.models.fields.related_descriptors import (
    ForwardManyToOneDescriptor,
    ReverseManyToOneDescriptor,
)
from django.utils.functional import cached_property


class KeyAttribute:
    """The tuple of the key's columns, under the relation's ``attname``; None where there is no relation."""

    def __init__(self, field: Any) -> None:
        self.field = field

    def __get__(self, instance: Model | None, cls: Any = None) -> Any:
        if instance is None:
            return self
        values = self.field.column_values(instance)
        return None if None in values else values

    def __set__(self, instance: Model, value: Any) -> None:
        if value is None:
            if self.__get__(instance) is not None:
                self.field.set_null(instance)
            return
        if len(value) != len(self.field.from_fields):
            raise ValueError(f"{self.field} has {len(self.field.from_fields)} columns, and {value!r} other values.")
        for local, part in zip(self.field.local_related_fields, value, strict=True):
            setattr(instance, local.attname, part)


class ForwardDescriptor(ForwardManyToOneDescriptor):  # type: ignore[type-arg]
    """The related instance; forgotten when a column of the key is given another value."""

    field: Any

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is not None and self.field.is_cached(instance) and self._is_stale(instance):
            self.field.delete_cached_value(instance)
        return super().__get__(instance, cls)

    def _is_stale(self, instance: Model) -> bool:
        field, related = self.field, self.field.get_cached_value(instance)
        if not _are_loaded(instance, field.local_related_fields):
            return False
        values = field.get_local_related_value(instance)
        if related is None:
            return None not in values
        if not _are_loaded(related, field.foreign_related_fields):
            return False
        return tuple(values[: len(field.to_fields)]) != tuple(
            getattr(related, target.attname) for target in field.foreign_related_fields
        )

    def __set__(self, instance: Any, value: Any) -> None:
        if value is None:
            self._set_none(instance)
            return
        if isinstance(value, self.field.remote_field.model._meta.concrete_model):
            self._check(value)
        super().__set__(instance, value)

    def _set_none(self, instance: Model) -> None:
        field = self.field
        related = field.get_cached_value(instance, default=None)
        if related is not None and not field.remote_field.multiple:
            field.remote_field.set_cached_value(related, None)
        setattr(instance, field.attname, None)
        field.set_cached_value(instance, None)

    def _check(self, value: Model) -> None:
        """A key cannot be taken from an instance that has none yet, or that the relation cannot mean."""
        missing = [f.name for f in self.field.foreign_related_fields if getattr(value, f.attname) is None]
        if missing:
            raise ValueError(
                f"{self.field} cannot be set to an instance without {', '.join(missing)}: save it first, its key is "
                "copied here."
            )
        if not self.field.accepts(value):
            raise ValueError(f"{value!r} cannot be the {self.field.name} of a {self.field.model._meta.object_name}.")

    def get_prefetch_querysets(self, instances: Any, querysets: Any = None) -> Any:
        """The related instances of all ``instances`` in one query."""
        if querysets and len(querysets) != 1:
            raise ValueError("querysets argument of get_prefetch_querysets() should have a length of 1.")
        field = self.field
        queryset: Any = querysets[0] if querysets else self.get_queryset(instance=instances[0])
        queryset._add_hints(instance=instances[0])
        by_key = {field.get_local_related_value(instance): instance for instance in instances}
        queryset = queryset.filter(field.condition_of(by_key))
        queryset.query.clear_ordering()
        if not field.remote_field.multiple:
            for related in queryset:
                field.remote_field.set_cached_value(related, by_key[field.get_foreign_related_value(related)])
        return queryset, field.get_foreign_related_value, field.get_local_related_value, True, field.cache_name, False


def _are_loaded(instance: Model, fields: Any) -> bool:
    return all(field.attname in instance.__dict__ for field in fields)


class ReverseDescriptor(ReverseManyToOneDescriptor):  # type: ignore[type-arg]
    """The manager of the rows that refer to an instance."""

    @cached_property
    def related_manager_cls(self) -> Any:
        """Django's manager, whose updates set the columns of the key."""
        return columnwise_manager(super().related_manager_cls)


def columnwise_manager(base: Any) -> Any:
    """``base`` with ``add()``, ``remove()``, ``clear()`` and ``set()`` that write columns."""

    class RelatedManager(base):  # type: ignore[misc]
        def __call__(self, *, manager: str) -> Any:
            return columnwise_manager(type(super().__call__(manager=manager)))(self.instance)

        do_not_call_in_templates = True

        def add(self, *objs: Any, bulk: bool = True) -> None:
            """Relate rows to the instance; each is written by its own key, and on its own shard."""
            if not bulk:
                super().add(*objs, bulk=False)
                return
            self._check_fk_val()
            self._remove_prefetched_objects()
            _save_related(self, objs)

        add.alters_data = True  # type: ignore[attr-defined]

        def _clear(self, queryset: Any, bulk: bool) -> None:
            self._remove_prefetched_objects()
            queryset = queryset.using(router.db_for_write(self.model, instance=self.instance))
            if bulk:
                queryset.update(**self.field.null_columns())
                return
            with transaction.atomic(using=queryset.db, savepoint=False):
                for obj in queryset:
                    setattr(obj, self.field.name, None)
                    obj.save(update_fields=list(self.field.null_columns()))

        _clear.alters_data = True  # type: ignore[attr-defined]

    return RelatedManager


def _save_related(manager: Any, objs: Any) -> None:
    db, field = router.db_for_write(manager.model, instance=manager.instance), manager.field
    for obj in objs:
        if not isinstance(obj, manager.model):
            raise TypeError(f"{manager.model._meta.object_name!r} instance expected, got {obj!r}")
        if obj._state.adding or obj._state.db != db:
            raise ValueError(f"{obj!r} instance isn't saved. Use bulk=False or save the object first.")
    with transaction.atomic(using=db, savepoint=False):
        for obj in objs:
            setattr(obj, field.name, manager.instance)
            obj.save(using=db, update_fields=[local.name for local in field.local_related_fields])
