"""Composite foreign keys in Django's admin: ``raw_id_fields``, ``autocomplete_fields`` and inlines."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from django.contrib.admin.checks import InlineModelAdminChecks, ModelAdminChecks
from django.contrib.admin.exceptions import NotRegistered
from django.contrib.admin.options import InlineModelAdmin, ModelAdmin
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.admin.widgets import AutocompleteSelect, ForeignKeyRawIdWidget
from django.core.checks import CheckMessage, Error
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.forms import ALL_FIELDS
from django.forms.models import modelformset_factory
from django.urls import NoReverseMatch, reverse

from horizon_shards.fields.composite.field import CompositeForeignKey
from horizon_shards.fields.composite.forms import CompositeChoiceField, CompositeModelForm
from horizon_shards.fields.composite.inlines import BoundToParent, CompositeInlineFormSet


class CompositeRawIdField(CompositeChoiceField):
    """Takes the key as text, or what the admin's list in a window of its own gives: the primary key of the row."""

    def to_python(self, value: Any) -> Any:
        """The instance; raises ``ValidationError`` where there is none."""
        if value in self.empty_values or str(value).startswith("["):
            return super().to_python(value)
        queryset: Any = self.queryset
        try:
            return queryset.get(pk=value)
        except (ValueError, TypeError, ValidationError, queryset.model.DoesNotExist) as error:
            invalid = self.error_messages["invalid_choice"]
            raise ValidationError(invalid, code="invalid_choice", params={"value": value}) from error


class _ByPrimaryKey:
    """The far side of the relation, as the list of the related model knows its rows."""

    def __init__(self, rel: Any) -> None:
        self._rel = rel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rel, name)

    def get_related_field(self) -> Any:
        """The primary key, whatever the relation compares."""
        return self._rel.model._meta.pk


class CompositeRawIdWidget(ForeignKeyRawIdWidget):
    """A text with the key, and a link to the list of the related model."""

    def __init__(self, relation: CompositeForeignKey, admin_site: Any, **kwargs: Any) -> None:
        by_primary_key: Any = _ByPrimaryKey(relation.remote_field)
        super().__init__(by_primary_key, admin_site, **kwargs)
        self.relation = relation

    def label_and_url_for_value(self, value: Any) -> tuple[str, str]:
        """The related row and the address of its page; nothing where there is no such row."""
        field: Any = self.relation.formfield(form_class=CompositeRawIdField, using=self.db)
        try:
            found = field.to_python(value)
            where = f"{self.admin_site.name}:{found._meta.app_label}_{found._meta.model_name}_change"
            return str(found), reverse(where, args=[found.pk])
        except (ValidationError, NoReverseMatch):
            return "", ""


class CompositeAutocompleteSelect(AutocompleteSelect):
    """A choice that searches as the user types: Django's view gives primary keys."""

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        """The row that is chosen, by its key or its primary key; the view gives the others."""
        chosen: list[Any] = [] if self.is_required else [self.create_option(name, "", "", False, 0)]
        choice: Any = self.choices
        for text in filter(None, value):
            with suppress(ValidationError):
                label = choice.field.label_from_instance(choice.field.to_python(text))
                chosen.append(self.create_option(name, text, label, True, len(chosen)))
        return [(None, chosen, 0)]


class _CompositeRelations:
    """Makes form fields of the composite relations that ``raw_id_fields`` and ``autocomplete_fields`` name."""

    form: Any = CompositeModelForm

    def formfield_for_dbfield(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        """The text with the link, or the choice that searches, where the relation is named; else Django's choice."""
        own: Any = self
        made: dict[Any, Any] = {
            CompositeAutocompleteSelect: own.get_autocomplete_fields(request),
            CompositeRawIdWidget: own.raw_id_fields,
        }
        for widget, names in made.items():
            if isinstance(db_field, CompositeForeignKey) and db_field.name in names:
                kwargs["widget"] = widget(db_field, own.admin_site, using=kwargs.get("using"))
                return db_field.formfield(form_class=CompositeRawIdField, **kwargs)
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]


class _Named:
    def _check_raw_id_fields_item(self, obj: Any, field_name: str, label: str) -> list[CheckMessage]:
        if _composite(obj, field_name) is not None:
            return []
        return super()._check_raw_id_fields_item(obj, field_name, label)  # type: ignore[misc, no-any-return]

    def _check_autocomplete_fields_item(self, obj: Any, field_name: str, label: str) -> list[CheckMessage]:
        relation = _composite(obj, field_name)
        if relation is None:
            return super()._check_autocomplete_fields_item(obj, field_name, label)  # type: ignore[misc, no-any-return]
        return _cannot_be_searched(obj, relation)


def _composite(obj: Any, name: str) -> CompositeForeignKey | None:
    with suppress(FieldDoesNotExist):
        if isinstance(field := obj.model._meta.get_field(name), CompositeForeignKey):
            return field
    return None


def _cannot_be_searched(obj: Any, relation: CompositeForeignKey) -> list[CheckMessage]:
    """What Django asks of the related model's admin where a foreign key is named."""
    related, name = relation.related_model, type(obj).__name__
    try:
        admin = obj.admin_site.get_model_admin(related)
    except NotRegistered:
        text = f'An admin for model "{related.__name__}" has to be registered to be referenced by {name}'
        return [Error(f"{text}.autocomplete_fields.", obj=type(obj), id="admin.E039")]
    if admin.search_fields:
        return []
    text = f'{type(admin).__name__} must define "search_fields", because it is referenced by {name}'
    return [Error(f"{text}.autocomplete_fields.", obj=type(obj), id="admin.E040")]


class _ModelChecks(_Named, ModelAdminChecks):
    """Django's, with composite relations in ``raw_id_fields`` and ``autocomplete_fields``."""


class _InlineChecks(_Named, InlineModelAdminChecks):
    """Django's, with a composite relation in the place of a foreign key."""

    def _check_relation(self, obj: Any, parent_model: Any) -> list[CheckMessage]:
        try:
            relation_of(obj.model, parent_model, obj.fk_name)
        except ValueError as error:
            return [Error(str(error), obj=obj.__class__, id="admin.E202")]
        return []

    def _check_exclude_of_parent_model(self, obj: Any, parent_model: Any) -> list[CheckMessage]:
        return []


def relation_of(model: Any, parent_model: Any, name: str | None) -> CompositeForeignKey:
    """The composite relation of an inline's model to the parent; raises ``ValueError`` unless there is just one."""
    found = [
        field
        for field in model._meta.fields
        if isinstance(field, CompositeForeignKey)
        and field.related_model in (parent_model, *parent_model._meta.all_parents)
        and name in (None, field.name)
    ]
    if len(found) != 1:
        called = f" called {name!r}" if name else ""
        raise ValueError(
            f"{model._meta.label} has {len(found)} composite foreign keys{called} to {parent_model._meta.label}."
        )
    return found[0]


class CompositeModelAdmin(_CompositeRelations, ModelAdmin):  # type: ignore[type-arg]
    """A ``ModelAdmin`` that takes composite relations in ``fields``, ``raw_id_fields`` and ``autocomplete_fields``."""

    checks_class = _ModelChecks


class _CompositeInline(_CompositeRelations, InlineModelAdmin):  # type: ignore[type-arg]
    """The rows that refer to the parent by a composite foreign key; its columns are the parent's to say."""

    checks_class = _InlineChecks
    formset: Any = CompositeInlineFormSet

    def get_formset(self, request: Any, obj: Any = None, **kwargs: Any) -> Any:
        """The class of the forms, without the columns of the relation."""
        relation = relation_of(self.model, self.parent_model, self.fk_name)
        fields = kwargs.pop("fields") if "fields" in kwargs else flatten_fieldsets(self.get_fieldsets(request, obj))
        hidden = [*relation.from_fields, relation.name, *self.get_readonly_fields(request, obj)]
        options = {
            "form": type(self.form.__name__, (BoundToParent, self.form), {"relation": relation}),
            "formset": self.formset,
            "fields": fields or ALL_FIELDS,
            "exclude": [*(self.get_exclude(request, obj) or ()), *hidden],
            "formfield_callback": partial(self.formfield_for_dbfield, request=request),
            "extra": self.get_extra(request, obj),
            "min_num": self.get_min_num(request, obj),
            "max_num": self.get_max_num(request, obj),
            "can_delete": self.can_delete and self.has_delete_permission(request, obj),
        }
        made = modelformset_factory(self.model, **{**options, **kwargs})
        made.relation = relation  # type: ignore[attr-defined]
        return made


class CompositeStackedInline(_CompositeInline):
    """As ``StackedInline``."""

    template = "admin/edit_inline/stacked.html"


class CompositeTabularInline(_CompositeInline):
    """As ``TabularInline``."""

    template = "admin/edit_inline/tabular.html"
