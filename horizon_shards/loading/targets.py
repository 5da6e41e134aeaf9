"""Which model takes the records of which, and how a record becomes a row of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import connections, router
from django.db.models import AutoField, Field, Model

from horizon_shards.declarations import declaration_of
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.loading.fitting import fitted
from horizon_shards.sinks.lines import MODEL
from horizon_shards.sinks.record import EVENT_ID


class Targets:
    """The models of the database ``using`` that rows are loaded into, found by the model that a record names.

    ``into`` maps labels to labels (``{"track.PageView": "warehouse.PageEvent"}``); a model that is not in it takes
    its records itself. Raises ``ConfigurationError`` where a model cannot take rows so that each event is there once.
    """

    def __init__(self, using: str, into: Mapping[str, str] | None = None) -> None:
        if "SHARDS" in connections[using].settings_dict:
            raise ConfigurationError(f"{using!r} is a logical database: load into one that stores rows itself.")
        self.using = using
        self._found = {
            _model(source)._meta.label_lower: self._target(source, to) for source, to in (into or {}).items()
        }

    def of(self, document: Mapping[str, Any]) -> Target:
        """The target of a record; ``ValueError`` where it names no model of this database."""
        label = document.get(MODEL)
        if not isinstance(label, str):
            raise ValueError(f"has no {MODEL}, which names its model")
        if label not in self._found:
            self._found[label] = self._itself(label)
        return self._found[label]

    def _itself(self, label: str) -> Target:
        try:
            model = apps.get_model(label)
        except (LookupError, ValueError) as error:
            raise ValueError(f"is of {label!r}, which is no model") from error
        if not _lives_on(model, self.using):
            raise ValueError(f"is of {label}, which does not live on {self.using!r}: say into which model it goes")
        return Target(model, model, self.using)

    def _target(self, source: str, to: str) -> Target:
        model = _model(to)
        if not _lives_on(model, self.using):
            raise ConfigurationError(f"{model._meta.label} does not live on {self.using!r}: name a model that does.")
        return Target(_model(source), model, self.using)


class Target:
    """A model that rows are loaded into; ``match`` are the fields that are equal where an event is the same."""

    def __init__(self, source: type[Model], model: type[Model], using: str) -> None:
        if model._meta.parents:
            raise ConfigurationError(f"{model._meta.label} has its rows in several tables, and cannot be loaded into.")
        self.model, self.using, self.match = model, using, match_of(model)
        self.fields = [field for field in model._meta.local_concrete_fields if not getattr(field, "generated", False)]
        # What the source has and the target has not is left out on purpose.
        self._known = {MODEL, *(field.column for one in (source, model) for field in one._meta.concrete_fields)}

    def row(self, document: Mapping[str, Any]) -> Model:
        """An unsaved instance; raises ``ValueError`` or ``ValidationError`` that says what does not fit."""
        if unknown := sorted(document.keys() - self._known):
            raise ValueError(f"has {unknown[0]!r}, which is no column of {self.model._meta.label}")
        if missing := [field.column for field in self.match if field.column not in document]:
            raise ValueError(f"has no {missing[0]!r}, by which an event is loaded once")
        given = {
            field.attname: fitted(field, document, self.using) for field in self.fields if field.column in document
        }
        row = self.model(**given)
        for field in self.fields:
            if field.column not in document:
                self._fill(row, field)
        if None in self.key(row):
            raise ValueError(f"has no {' and '.join(field.name for field in self.match)}")
        return row

    def key(self, row: Model) -> tuple[Any, ...]:
        """What is equal where an event is the same."""
        return tuple(getattr(row, field.attname) for field in self.match)

    def stored(self, rows: list[Model]) -> set[tuple[Any, ...]]:
        """The keys of those rows whose events are in the table."""
        found = self.model._base_manager.using(self.using).filter(
            **{f"{EVENT_ID}__in": {getattr(row, EVENT_ID) for row in rows}}
        )
        return set(found.values_list(*(field.attname for field in self.match)))

    def _fill(self, row: Model, field: Field[Any, Any]) -> None:
        if isinstance(field, AutoField):
            return
        is_set = field.has_default() or field.has_db_default() or field.null or _sets_itself(field)
        if not is_set:
            raise ValueError(f"has no {field.column!r}, which {self.model._meta.label} needs")
        field.pre_save(row, add=True)


def match_of(model: type[Model]) -> tuple[Field[Any, Any], ...]:
    """The fields of the smallest unique constraint with the event id; ``ConfigurationError`` where there is none."""
    label, opts = model._meta.label, model._meta
    try:
        field: Any = opts.get_field(EVENT_ID)
    except FieldDoesNotExist as error:
        raise ConfigurationError(
            f"{label} has no field {EVENT_ID}, by which an event is loaded once: add it."
        ) from error
    if field.unique:
        return (field,)
    stated = [constraint.fields for constraint in opts.total_unique_constraints] + [*map(tuple, opts.unique_together)]
    found = sorted((names for names in stated if EVENT_ID in names), key=len)
    if not found:
        raise ConfigurationError(
            f"{label} has no unique constraint with {EVENT_ID}: make it unique, by itself or with the shard key."
        )
    return tuple(opts.get_field(name) for name in found[0])  # type: ignore[misc]


def _model(label: str) -> type[Model]:
    try:
        return apps.get_model(label)
    except (LookupError, ValueError) as error:
        raise ConfigurationError(f"{label!r} is no model: write app_label.Model.") from error


def _lives_on(model: type[Model], using: str) -> bool:
    declaration = declaration_of(model)
    is_sharded = declaration is not None and declaration.database != using
    return not is_sharded and bool(router.allow_migrate_model(using, model))


def _sets_itself(field: Field[Any, Any]) -> bool:
    return bool(getattr(field, "auto_now", False) or getattr(field, "auto_now_add", False))
