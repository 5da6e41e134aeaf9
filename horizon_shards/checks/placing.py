"""What the fields of a model tell about the shard of its rows."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Model

from horizon_shards.checks.models import final_target
from horizon_shards.declarations import Declaration, declaration_of
from horizon_shards.exceptions import ConfigurationError


def declared(model: type[Model]) -> Declaration | None:
    """The declaration of a model, None for an unsharded one and where the declaration is broken."""
    try:
        return declaration_of(model)
    except ConfigurationError:
        return None


def is_sharded(model: type[Model]) -> bool:
    """Whether the rows of the model are spread over shards (and not copied to all)."""
    declaration = declared(model)
    return declaration is not None and declaration.kind == "sharded"


def key_sources(model: type[Model]) -> tuple[str, ...] | None:
    """Where the values of the shard key come from; None where a key field is missing.

    Two models of a group with equal sources are colocated: both keys are (through foreign keys) the same
    column, or plain fields of the same name and type.
    """
    declaration = declared(model)
    if declaration is None:
        return None
    try:
        return tuple(_source(model._meta.get_field(name)) for name in declaration.key)
    except FieldDoesNotExist:
        return None


def _source(field: Any) -> str:
    target = final_target(field)
    if target is field and not field.primary_key:
        return f"{field.name}: {field.get_internal_type()}"
    return f"{target.model._meta.label_lower}.{target.name}"


def colocated(model: type[Model], other: type[Model]) -> bool:
    """Whether rows of two sharded models with equal keys are on the same shard."""
    mine, theirs = declared(model), declared(other)
    if mine is None or theirs is None or mine.database != theirs.database:
        return False
    sources = key_sources(model)
    return sources is not None and sources == key_sources(other)


def tells_shard(model: type[Model], names: tuple[str, ...]) -> bool:
    """Whether values of these fields together can be on one shard only.

    That holds where the shard key is among them, a sharded id, or a foreign key to a sharded id of a
    colocated model; and a UUID is unique by how it is made.
    """
    declaration = declared(model)
    fields = [field for name in names if (field := _field(model, name)) is not None]
    if declaration is None or set(declaration.key) <= {field.name for field in fields}:
        return True
    return any(_unique_by_itself(model, field) for field in fields)


def _field(model: type[Model], name: str) -> Any:
    try:
        return model._meta.get_field(name)
    except FieldDoesNotExist:
        return None


def _unique_by_itself(model: type[Model], field: Any) -> bool:
    if isinstance(field, models.ForeignKey):
        related = field.related_model
        near = isinstance(related, type) and colocated(model, related)
        return near and _unique_by_itself(related, field.target_field)
    return bool(getattr(field, "carries_bucket", False)) or isinstance(field, models.UUIDField)
