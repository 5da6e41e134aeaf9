"""Which model lives where: the ``class Sharding`` of a model, or what ``shard_model()`` declared for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import Field, ForeignKey, ForeignObject, Model

from horizon_shards.exceptions import ConfigurationError, InvalidShardKey

Kind = Literal["sharded", "reference"]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a model declares: its logical alias, whether its rows are spread or copied, and its key fields."""

    label: str
    database: str
    kind: Kind
    key: tuple[str, ...] = ()


#: Declarations by lower-case label: of models the project does not own, and of those seen so far.
_declared: dict[str, Declaration] = {}
_seen: dict[type[Model], Declaration | None] = {}
_default: Callable[[type[Model]], Declaration | None] | None = None


def declare(label: str, *, database: str, key: str | Iterable[str] | None) -> Declaration:
    """Declare a model by label (``"app.Model"``): sharded with a key, a reference model without."""
    fields = (key,) if isinstance(key, str) else tuple(key or ())
    declaration = Declaration(label.lower(), database, "sharded" if fields else "reference", fields)
    _declared[declaration.label] = declaration
    _seen.clear()
    return declaration


def forget(label: str) -> None:
    """Take back what :func:`declare` said of a model."""
    _declared.pop(label.lower(), None)
    _seen.clear()


def declare_by_default(rule: Callable[[type[Model]], Declaration | None] | None) -> None:
    """Let ``rule`` declare the concrete models that nothing else declares; None takes it back.

    For projects in which every model is sharded or copied alike.
    """
    global _default
    _default = rule
    _seen.clear()


def declaration_of(model: type[Model]) -> Declaration | None:
    """The declaration of a model, or None for an unsharded one.

    A proxy counts as its concrete model; a historical model of a migration, which carries no ``Sharding``
    class, is looked up by its label.
    """
    try:
        return _seen[model]
    except KeyError:
        # Django's database cache asks the router about a stand-in that is no model, and has no such options.
        if not issubclass(model, Model):
            return None
        declaration = _find(model)
        # Historical models are made anew by every migration: remembering them would keep them alive.
        if not model.__module__.startswith("__fake__"):
            _seen[model] = declaration
        return declaration


def declaration_of_label(label: str) -> Declaration | None:
    """The declaration of ``"app.model"`` as the installed models state it, or None."""
    if (declared := _declared.get(label.lower())) is not None:
        return declared
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return None
    return declaration_of(model)


def declared_models(database: str) -> list[type[Model]]:
    """The installed concrete models that live on the logical alias, in the order of installation."""
    return [
        model
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy and (found := declaration_of(model)) is not None and found.database == database
    ]


def key_fields(model: type[Model]) -> tuple[Field[Any, Any], ...]:
    """The fields that make up the shard key of a sharded model, in their declared order."""
    declaration = declaration_of(model)
    assert declaration is not None
    opts = model._meta.concrete_model._meta  # type: ignore[union-attr]
    return tuple(opts.get_field(name) for name in declaration.key)  # type: ignore[misc]


def key_of(instance: Model) -> Any:
    """The shard key of an instance, in its canonical Python type; a tuple for a composite key.

    Raises ``InvalidShardKey`` where a part is missing or None.
    """
    fields = key_fields(type(instance))
    parts = tuple(to_key_part(field, getattr(instance, field.attname)) for field in fields)
    return parts[0] if len(parts) == 1 else parts


def final_field(field: Field[Any, Any]) -> Field[Any, Any]:
    """The field that a foreign key finally refers to; the field itself where it is none."""
    while isinstance(field, ForeignObject):
        targets = field.target_field if isinstance(field, ForeignKey) else None
        if targets is None:
            return field
        field = targets
    return field


def to_key_part(field: Field[Any, Any], value: Any) -> Any:
    """``value`` in the Python type of the field that is finally meant (through foreign keys)."""
    target = final_field(field)
    if value is None:
        raise InvalidShardKey(
            f"The shard key {field.name!r} of {field.model._meta.label} is None: a row without a key has no shard."
        )
    try:
        return target.to_python(value)
    except ValidationError as error:
        raise InvalidShardKey(
            f"{value!r} cannot be the shard key {field.name!r} of {field.model._meta.label}: {error.messages[0]}"
        ) from error


def _find(model: type[Model]) -> Declaration | None:
    concrete = model._meta.concrete_model or model
    label = concrete._meta.label_lower
    if (declared := _declared.get(label)) is not None:
        return declared
    if (stated := getattr(concrete, "Sharding", None)) is not None:
        return _from_class(label, stated)
    if (owner := _owner_of_through(concrete)) is not None:
        return _from_owner(label, concrete, owner)
    if (declared := _from_installed(label, concrete)) is not None:
        return declared
    return None if _default is None else _default(concrete)


def _from_class(label: str, stated: Any) -> Declaration | None:
    unknown = {name for name in vars(stated) if not name.startswith("_")} - {"database", "key"}
    if unknown:
        raise ConfigurationError(f"{label}.Sharding has the unknown name {min(unknown)!r}; known are database and key.")
    database, key = getattr(stated, "database", None), getattr(stated, "key", None)
    if not isinstance(database, str):
        raise ConfigurationError(f"{label}.Sharding needs database: the alias of a logical database.")
    fields = (key,) if isinstance(key, str) else tuple(key or ())
    return Declaration(label, database, "sharded" if fields else "reference", fields)


def _owner_of_through(model: type[Model]) -> type[Model] | None:
    owner = model._meta.auto_created
    return owner if isinstance(owner, type) else None


def _from_owner(label: str, through: type[Model], owner: type[Model]) -> Declaration | None:
    """An automatic many-to-many table follows its owner, keyed by the foreign key to it."""
    declaration = declaration_of(owner)
    if declaration is None:
        return None
    if declaration.kind == "reference":
        return Declaration(label, declaration.database, "reference")
    key = next(f.name for f in through._meta.fields if f.is_relation and f.related_model is owner)
    return Declaration(label, declaration.database, "sharded", (key,))


def _from_installed(label: str, model: type[Model]) -> Declaration | None:
    """A historical model has the declaration of the installed model of the same label."""
    try:
        installed = apps.get_model(label)
    except (LookupError, ValueError):
        return None
    return None if installed is model else declaration_of(installed)
