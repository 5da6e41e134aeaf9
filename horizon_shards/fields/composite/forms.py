"""Choosing the related row of a composite foreign key in a form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Model
from django.forms import ModelChoiceField, ModelForm
from django.forms.models import ModelFormMetaclass


def to_text(field: Any, key: Sequence[Any]) -> str:
    """A key as one text, for the value of an option or a parameter of an URL."""
    return json.dumps([str(part) for part in key])


def from_text(field: Any, text: str) -> tuple[Any, ...]:
    """The key in the Python types of the related fields; raises ``ValidationError`` for another text."""
    try:
        parts = json.loads(text)
        return tuple(
            getattr(target, "target_field", target).to_python(part)
            for target, part in zip(field.foreign_related_fields, parts, strict=True)
        )
    except (ValueError, TypeError) as error:
        raise ValidationError(f"{text!r} is not a key of {field}.") from error


class CompositeChoiceField(ModelChoiceField):  # type: ignore[type-arg]
    """A choice among the rows that a composite foreign key can refer to."""

    def __init__(self, *args: Any, relation: Any, **kwargs: Any) -> None:
        self.relation = relation
        super().__init__(*args, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        """An instance or a key as text."""
        if isinstance(value, Model):
            value = tuple(getattr(value, target.attname) for target in self.relation.foreign_related_fields)
        return to_text(self.relation, value) if isinstance(value, tuple) else super().prepare_value(value)

    def to_python(self, value: Any) -> Any:
        """The instance that a text stands for; asks its one shard."""
        if value in self.empty_values or isinstance(value, Model):
            return None if value in self.empty_values else value
        self.validate_no_null_characters(value)
        try:
            key = from_text(self.relation, value)
            return self.queryset.get(self.relation.condition_of([key]))  # type: ignore[union-attr]
        except (ValidationError, self.queryset.model.DoesNotExist) as error:  # type: ignore[union-attr]
            invalid = self.error_messages["invalid_choice"]
            raise ValidationError(invalid, code="invalid_choice", params={"value": value}) from error


class CompositeModelFormMetaclass(ModelFormMetaclass):
    """Makes form fields of the composite foreign keys that ``Meta.fields`` names: Django asks columns only."""

    def __new__(mcs, name: str, bases: tuple[type, ...], attrs: dict[str, Any]) -> Any:
        """Declare the form fields that the class does not declare itself."""
        meta = attrs.get("Meta") or next((base.Meta for base in bases if hasattr(base, "Meta")), None)
        for relation in _named(meta):
            if relation.name not in attrs and (field := _formfield(relation, meta)) is not None:
                attrs[relation.name] = field
        return super().__new__(mcs, name, bases, attrs)


def _named(meta: Any) -> list[Any]:
    model, names = getattr(meta, "model", None), getattr(meta, "fields", None)
    if model is None or not isinstance(names, list | tuple):
        return []
    return [field for field in model._meta.fields if hasattr(field, "raw_parts") and field.name in names]


def _formfield(relation: Any, meta: Any) -> Any:
    made = getattr(meta, "formfield_callback", None) or (lambda field, **kwargs: field.formfield(**kwargs))
    widgets = getattr(meta, "widgets", None) or {}
    return made(relation, **({"widget": widgets[relation.name]} if relation.name in widgets else {}))


class CompositeModelForm(ModelForm, metaclass=CompositeModelFormMetaclass):  # type: ignore[type-arg]
    """A ``ModelForm`` that also takes the composite foreign keys that ``Meta.fields`` names; for the admin, too."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.instance._meta.fields:
            if hasattr(field, "raw_parts") and field.name in self.fields:
                self.initial.setdefault(field.name, getattr(self.instance, field.attname))
