"""Checks of composite foreign keys: their columns, what becomes NULL, and whether they stay on one shard."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Model, deletion

from horizon_shards.checks.catalogue import problem
from horizon_shards.checks.placing import colocated, declared, is_sharded
from horizon_shards.fields import CompositeForeignKey, CompositeOneToOneField
from horizon_shards.models.deletion import SHARD_SET_NULL


def check_composite_keys(model: type[Model]) -> list[CheckMessage]:
    """The problems of the composite foreign keys of one model, whether it is sharded or not."""
    if model._meta.swapped:
        return []
    fields = [field for field in model._meta.local_fields if isinstance(field, CompositeForeignKey)]
    return [message for field in fields for message in _check(model, field)]


def _check(model: type[Model], field: CompositeForeignKey) -> Iterator[CheckMessage]:
    missing = [*_missing(model, field)]
    yield from missing
    if missing or not isinstance(field.related_model, type):
        return
    yield from _nullable(field)
    yield from _on_delete(field)
    yield from _colocated(model, field, field.related_model)
    yield from _unique(model, field)


def _missing(model: type[Model], field: CompositeForeignKey) -> Iterator[CheckMessage]:
    names = (*field.from_fields, *(name for name, _ in field.null_if_equal), *(field.nullable_fields or ()))
    for name in dict.fromkeys(names):
        if not _has_column(model, name):
            yield problem(
                "E310",
                f"It names the local field {name!r}, which does not exist or has no column.",
                hint="Name fields with a column; a part without one is a RawFieldValue.",
                obj=field,
            )


def _has_column(model: type[Model], name: str) -> bool:
    try:
        return getattr(model._meta.get_field(name), "column", None) is not None
    except FieldDoesNotExist:
        return False


def _nullable(field: CompositeForeignKey) -> Iterator[CheckMessage]:
    if field.null_if_equal and not field.null:
        yield problem("E311", "It has null_if_equal and not null=True.", hint="Set null=True.", obj=field)
    if field.on_delete in (models.SET_NULL, SHARD_SET_NULL) and not field.null:
        yield problem("E311", "on_delete sets it to NULL, and it has not null=True.", hint="Set null=True.", obj=field)
    if not field.null:
        return
    columns = _null_columns(field)
    wrong = [name for name, value in columns.items() if value is None and not field.opts.get_field(name).null]
    if wrong or (not columns and field.on_delete in (models.SET_NULL, SHARD_SET_NULL)):
        yield problem(
            "E311",
            f"Setting it to None has to write NULL to {', '.join(wrong) or 'a column'}, which takes none.",
            hint="Let a column have null=True, or name in nullable_fields what is to be written instead.",
            obj=field,
        )


def _null_columns(field: CompositeForeignKey) -> dict[str, Any]:
    try:
        return field.null_columns()
    except ValueError:
        return {}


def _on_delete(field: CompositeForeignKey) -> Iterator[CheckMessage]:
    if isinstance(field.on_delete, getattr(deletion, "DatabaseOnDelete", ())):
        yield problem(
            "E312",
            f"on_delete={field.on_delete} is the work of a constraint that this field does not make.",
            hint="Use CASCADE, SET_NULL or SET_DEFAULT.",
            obj=field,
        )
    elif field.on_delete is models.SET_DEFAULT and not field.default_columns():
        yield problem(
            "E312",
            "on_delete=SET_DEFAULT, and none of its columns has a default.",
            hint="Give one a default.",
            obj=field,
        )


def _colocated(model: type[Model], field: CompositeForeignKey, target: type[Model]) -> Iterator[CheckMessage]:
    mine, theirs = declared(model), declared(target)
    if mine is None or theirs is None or mine.database != theirs.database:
        return
    if not (is_sharded(model) and is_sharded(target)):
        return
    pairs = set(zip(field.from_fields, field.to_fields, strict=True))
    if colocated(model, target) and set(zip(mine.key, theirs.key, strict=True)) <= pairs:
        return
    yield problem(
        "W313",
        f"It does not hold the shard keys of {model._meta.label} and {target._meta.label}: the two cannot be joined.",
        hint=f"Add {', '.join(theirs.key)} to to_fields, and shard both models by it.",
        obj=field,
    )


def _unique(model: type[Model], field: CompositeForeignKey) -> Iterator[CheckMessage]:
    if not isinstance(field, CompositeOneToOneField):
        return
    wanted = set(field.from_fields)
    sets = [set(constraint.fields) for constraint in model._meta.total_unique_constraints]
    sets += [set(names) for names in model._meta.unique_together]
    sets += [{one.name} for one in model._meta.local_fields if one.unique and one.column]
    pk_fields = getattr(model._meta, "pk_fields", [model._meta.pk])
    if any(found <= wanted for found in (*sets, {one.name for one in pk_fields})):
        return
    yield problem(
        "W314",
        "Two rows may refer to the same one: only full_clean() looks.",
        hint=f"Add UniqueConstraint(fields={list(field.from_fields)!r}, name=...) to Meta.constraints.",
        obj=field,
    )
