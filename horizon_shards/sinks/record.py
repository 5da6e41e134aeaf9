"""One payload on its way to a table: its columns, its event id, and the shard that it belongs to."""

from __future__ import annotations

import functools
import os
import random
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import router
from django.db.models import DurationField, Field, Model
from django.db.models.expressions import DatabaseDefault

from horizon_shards.declarations import declaration_of, key_of
from horizon_shards.exceptions import RecordRefused
from horizon_shards.placement import placement_of

#: The field of a model, and the key of a line, that names an event wherever it goes and however often.
EVENT_ID = "event_id"

#: Event ids have to be unique and are no secret: the system need not be asked for each.
_random = random.Random()  # noqa: S311
os.register_at_fork(after_in_child=_random.seed)


@dataclass(frozen=True, slots=True)
class Record:
    """The columns of one row of ``model`` (``"track.pageview"``).

    ``event_id`` stays the same on every way and at every repetition, so that what arrives twice can be stored
    once. ``shard`` is empty for a model that is not sharded; ``database`` is the alias that the model lives on.
    """

    model: str
    columns: dict[str, Any]
    event_id: str
    shard: str = ""
    database: str = "default"

    def instance(self) -> Model:
        """The record as an unsaved instance of its model, its columns in the types of the fields."""
        model: type[Model] = apps.get_model(self.model)
        fields = {field.column: field for field in model._meta.concrete_fields}
        values = {
            fields[column].attname: in_type(fields[column], value)
            for column, value in self.columns.items()
            if column in fields
        }
        return model(**values)


def record_of(instance: Model) -> Record:
    """The record of an unsaved instance, with what saving would have set: defaults, times, and a sharded id.

    The event id is that of the instance where its model has a field ``event_id``, else a new one. Raises
    ``RecordRefused`` for a value that only a database can compute, and ``InvalidShardKey`` without a shard key.
    """
    model = type(instance)
    columns: dict[str, Any] = {}
    for field, is_key in _columns_of(model):
        value = field.pre_save(instance, add=True)
        if value is None and is_key:
            value = field.get_pk_value_on_save(instance)
            if value is None:
                continue
            setattr(instance, field.attname, value)
        if hasattr(value, "resolve_expression"):
            if isinstance(value, DatabaseDefault):
                continue
            raise RecordRefused(
                f"{instance._meta.label}.{field.name} is an expression, which only a database can compute: "
                "give a value."
            )
        columns[str(field.column)] = value
    return Record(model._meta.label_lower, columns, _event_id(columns), shard_of(instance), _database_of(model))


def as_record(record: Record | Model) -> Record:
    """A record as it is, an instance as its record."""
    return record if isinstance(record, Record) else record_of(record)


def shard_of(instance: Model) -> str:
    """The shard of a row by its key, which is placed where it is new; empty for a model that is not sharded."""
    placement = placement_of(type(instance))
    if placement is None or not placement.sharded:
        return ""
    key = key_of(instance)
    return placement.place([key])[key]


def in_type(field: Field[Any, Any], value: Any) -> Any:
    """A value as a line has it, in the type of its field; ``ValidationError`` or ``ValueError`` where it has none."""
    if isinstance(field, DurationField) and isinstance(value, int):
        return timedelta(microseconds=value)
    return field.to_python(value)


def _event_id(columns: dict[str, Any]) -> str:
    if columns.get(EVENT_ID) is None:
        columns[EVENT_ID] = uuid.UUID(int=_random.getrandbits(128), version=4)
    return str(columns[EVENT_ID])


@functools.lru_cache(maxsize=512)
def _columns_of(model: type[Model]) -> tuple[tuple[Field[Any, Any], bool], ...]:
    fields = [field for field in model._meta.concrete_fields if not getattr(field, "generated", False)]
    return tuple((field, field.primary_key) for field in fields if field.column is not None)


def _database_of(model: type[Model]) -> str:
    declaration = declaration_of(model)
    return router.db_for_write(model) if declaration is None else declaration.database
