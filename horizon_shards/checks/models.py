"""Checks of what models declare: the database, the key and its type."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Field, Model

from horizon_shards.checks.catalogue import problem
from horizon_shards.checks.engines import vendor_of
from horizon_shards.conf import group_aliases
from horizon_shards.declarations import Declaration, declaration_of
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.models.base import ReferenceModel, ShardedModel
from horizon_shards.placement import BINARY_COLLATIONS
from horizon_shards.topology import get_group

KEY_TYPES = (models.IntegerField, models.CharField, models.TextField, models.UUIDField, models.DateField)
TEXT_TYPES = (models.CharField, models.TextField)
NOT_KEYS = (models.DateTimeField,)


def check_declaration(model: type[Model]) -> list[CheckMessage]:
    """The problems of the declaration of one concrete model, and of its shard key."""
    try:
        declaration = declaration_of(model)
    except ConfigurationError as error:
        return [problem("E201", str(error), hint="Give class Sharding a database and a key.", obj=model)]
    found = [*_kind(model, declaration)]
    if declaration is None:
        return found
    found += [*_database(model, declaration), *_inheritance(model)]
    for name in declaration.key:
        found += _key_field(model, declaration, name)
    return found


def _kind(model: type[Model], declaration: Declaration | None) -> Iterator[CheckMessage]:
    wanted = _kind_of_parent(model)
    if wanted is None or (declaration is not None and declaration.kind == wanted):
        return
    parent = "ShardedModel" if wanted == "sharded" else "ReferenceModel"
    cure = "database and key" if wanted == "sharded" else "database and no key"
    is_now = "has no class Sharding" if declaration is None else f"declares a {declaration.kind} model"
    yield problem("E211", f"{parent} {model._meta.label} {is_now}.", hint=f"class Sharding needs {cure}.", obj=model)


def _kind_of_parent(model: type[Model]) -> str | None:
    if issubclass(model, ShardedModel):
        return "sharded"
    return "reference" if issubclass(model, ReferenceModel) else None


def _database(model: type[Model], declaration: Declaration) -> Iterator[CheckMessage]:
    known = group_aliases()
    if declaration.database in known:
        return
    near = difflib.get_close_matches(declaration.database, known, n=1)
    listed = ", ".join(map(repr, known)) or "none"
    yield problem(
        "E202",
        f"Sharding.database is {declaration.database!r}, which is not a logical database.",
        hint=f"Did you mean {near[0]!r}?" if near else f"The logical databases of DATABASES are: {listed}.",
        obj=model,
    )


def _inheritance(model: type[Model]) -> Iterator[CheckMessage]:
    if model._meta.parents:
        names = ", ".join(sorted(parent._meta.label for parent in model._meta.parents))
        yield problem(
            "E210",
            f"It inherits from the concrete model {names}: one row would be two, in two tables.",
            hint="Make the parent abstract (class Meta: abstract = True), or use a foreign key.",
            obj=model,
        )


def _key_field(model: type[Model], declaration: Declaration, name: str) -> Iterator[CheckMessage]:
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        yield _missing_key(model, name)
        return
    if field.many_to_many or not getattr(field, "concrete", False) or field.column is None:
        yield problem(
            "E203", f"The shard key {name!r} has no column.", hint="Name a field with a column of its own.", obj=model
        )
        return
    yield from _nullable(field)
    yield from _computed(field)
    yield from _type(field)
    yield from _collation(field, declaration)


def _missing_key(model: type[Model], name: str) -> CheckMessage:
    names = [field.name for field in model._meta.fields]
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"Its fields are {', '.join(names)}."
    return problem("E203", f"The shard key {name!r} is not a field.", hint=hint, obj=model)


def _nullable(field: Field[Any, Any]) -> Iterator[CheckMessage]:
    if field.null:
        yield problem(
            "E204",
            "It is the shard key and can be NULL: a row without a key has no shard.",
            hint="Remove null=True, and give rows without a key one (0, for example).",
            obj=field,
        )


def _computed(field: Field[Any, Any]) -> Iterator[CheckMessage]:
    if field.generated or field.has_db_default():
        yield problem(
            "E212",
            "It is the shard key and is computed by the database: its value is not known before the row is stored.",
            hint="Use default= in place of db_default=, and a plain field in place of a GeneratedField.",
            obj=field,
        )


def _type(field: Field[Any, Any]) -> Iterator[CheckMessage]:
    target = final_target(field)
    is_converted = hasattr(target, "from_db_value")
    is_key = isinstance(target, KEY_TYPES) and not isinstance(target, NOT_KEYS)
    if field.generated or (is_key and not is_converted):
        return
    why = "is stored otherwise than Python shows it (from_db_value())" if is_converted else "has no stable hash"
    yield problem(
        "E205",
        f"It is the shard key and of type {type(target).__name__}, which {why}.",
        hint="A key is a whole number, a text, a UUID, a date, or a foreign key to one of these: Django's own fields.",
        obj=field,
    )


def _collation(field: Field[Any, Any], declaration: Declaration) -> Iterator[CheckMessage]:
    target = final_target(field)
    if not isinstance(target, TEXT_TYPES) or _is_exact(field, target, declaration.database):
        return
    yield problem(
        "W206",
        "It is a text key, and its collation is not binary: the database finds 'Ann' equal to 'ann', the mapping does "
        "not. Reads by this key ask all shards.",
        hint=f'On MySQL set db_collation="utf8mb4_bin" on {target.model._meta.label}.{target.name}.',
        obj=field,
    )


def _is_exact(field: Any, target: Any, database: str) -> bool:
    collation = getattr(field, "db_collation", None) or getattr(target, "db_collation", None)
    if collation is None:
        return not _on_mysql(database)
    return collation.lower() in BINARY_COLLATIONS or collation.lower().endswith("_bin")


def _on_mysql(database: str) -> bool:
    try:
        return any(vendor_of(alias) == "mysql" for alias in get_group(database).primaries.values())
    except ConfigurationError:
        return False


def final_target(field: Any) -> Field[Any, Any]:
    """The field that a foreign key finally refers to; any other field itself."""
    seen = [field]
    while (target := _target(seen[-1])) is not None and target not in seen:
        seen.append(target)
    found: Field[Any, Any] = seen[-1]
    return found


def _target(field: Any) -> Any:
    if not getattr(field, "remote_field", None):
        return None
    try:
        return getattr(field, "target_field", None)
    except (FieldDoesNotExist, ValueError):
        return None  # a relation to a model that is not installed: Django's own checks say so
