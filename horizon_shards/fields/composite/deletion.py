"""What deleting the related row does to the columns of a composite foreign key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db.models import CASCADE, DO_NOTHING, Model, QuerySet
from django.db.models.deletion import SET_DEFAULT


def columnwise(on_delete: Any, *, null: bool) -> Any:
    """The handler that does what ``on_delete`` says to a relation without a column of its own."""
    may_update = null or on_delete is not CASCADE
    if on_delete is DO_NOTHING or not may_update or not callable(on_delete) or isinstance(on_delete, Columnwise):
        return on_delete
    return Columnwise(on_delete)


class Columnwise:
    """Runs a handler of Django and turns its update of the relation into one of the columns."""

    #: The update is made of the query for the children, whatever ``on_delete`` this stands for.
    lazy_sub_objs: bool

    def __init__(self, original: Callable[..., None]) -> None:
        self.original = original
        self.lazy_sub_objs = getattr(original, "lazy_sub_objs", False)
        self.__name__ = getattr(original, "__name__", repr(original))

    def __call__(self, collector: Any, field: Any, sub_objs: Any, using: str) -> None:
        """Let the original decide; ``CASCADE`` deletes the children first and so has nothing to set to NULL."""
        if self.original is CASCADE:
            collector.collect(
                sub_objs, source=field.remote_field.model, source_attr=field.name, fail_on_restricted=False
            )
            return
        self.original(_Updates(collector, self.original), field, sub_objs, using)


class _Updates:
    """Stands before the collector and takes its updates of the relation."""

    def __init__(self, collector: Any, original: Any) -> None:
        self._collector = collector
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._collector, name)

    def add_field_update(self, field: Any, value: Any, objs: Any) -> None:
        columns = field.default_columns() if self._original is SET_DEFAULT else field.columns_for(value)
        self._collector.fast_deletes.append(ColumnUpdate(_query(objs), columns))


def _query(objs: Any) -> QuerySet[Any]:
    """The children as a query that an UPDATE can be made of: without select_related and deferred columns."""
    queryset: QuerySet[Any] = objs.all() if isinstance(objs, QuerySet) else _of_instances(list(objs))
    return queryset.select_related(None)


def _of_instances(objs: list[Model]) -> QuerySet[Any]:
    return type(objs[0])._base_manager.using(objs[0]._state.db).filter(pk__in=[obj.pk for obj in objs])


class ColumnUpdate:
    """One UPDATE, in the place of a queryset of ``Collector.fast_deletes``; it deletes nothing."""

    def __init__(self, queryset: QuerySet[Any], columns: dict[str, Any]) -> None:
        self.model = queryset.model
        self.queryset = queryset
        self.columns = columns

    def filter(self, *args: Any, **kwargs: Any) -> QuerySet[Any]:
        """No rows: Django asks which restricted objects are deleted by this."""
        return self.queryset.none()

    def _raw_delete(self, using: str) -> int:
        if self.columns:
            self.queryset.using(using).update(**self.columns)
        return 0
