"""The admin's list filter for composite foreign keys; imported where the admin is installed."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.filters import FieldListFilter, RelatedFieldListFilter
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import get_last_value_from_parameters
from django.core.exceptions import ValidationError
from django.db.models import Count, Q

from horizon_shards.fields.composite.field import CompositeForeignKey
from horizon_shards.fields.composite.forms import from_text, to_text


class CompositeFieldListFilter(RelatedFieldListFilter):
    """Filters by the related row, whose key is one parameter."""

    def __init__(self, field: Any, request: Any, params: Any, model: Any, model_admin: Any, field_path: str) -> None:
        self.lookup_kwarg = f"{field_path}__exact"
        self.lookup_kwarg_isnull = f"{field_path}__isnull"
        self.lookup_val = params.get(self.lookup_kwarg)
        self.lookup_val_isnull = get_last_value_from_parameters(params, self.lookup_kwarg_isnull)
        FieldListFilter.__init__(self, field, request, params, model, model_admin, field_path)
        self.lookup_choices: Any = self._choices(request, model_admin)
        self.lookup_title = self.title = field.verbose_name
        self.empty_value_display = model_admin.get_empty_value_display()

    def _choices(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        field: Any = self.field
        related = field.related_model._default_manager.complex_filter(field.get_limit_choices_to())
        ordering = self.field_admin_ordering(field, request, model_admin)
        rows = related.order_by(*ordering) if ordering else related
        return [
            (to_text(field, field.get_foreign_related_value(row)[: len(field.to_fields)]), str(row)) for row in rows
        ]

    def queryset(self, request: Any, queryset: Any) -> Any:
        """The rows that refer to the chosen one, or to none."""
        if self.lookup_val_isnull:
            return queryset.filter(**{self.lookup_kwarg_isnull: str(self.lookup_val_isnull) not in ("False", "0", "")})
        if not self.lookup_val:
            return queryset
        return queryset.filter(self._condition(self.lookup_val[-1]))

    def _condition(self, text: str) -> Q:
        try:
            return Q(**{self.field_path: from_text(self.field, text)})
        except ValidationError as error:
            raise IncorrectLookupParameters(error) from error

    def get_facet_queryset(self, changelist: Any) -> dict[str, Any]:
        """How many rows each choice has, by its text, which cannot be the name of a column."""
        counts: dict[str, Any] = super().get_facet_queryset(changelist)
        texts = {f"{text}__c": counts[f"{number}__c"] for number, (text, _) in enumerate(self.lookup_choices)}
        return counts | texts

    def get_facet_counts(self, pk_attname: str, filtered_qs: Any) -> dict[str, Any]:
        """The aggregates of :meth:`get_facet_queryset`, by the place of the choice."""
        counts = {
            f"{number}__c": Count(pk_attname, filter=self._condition(text))
            for number, (text, _) in enumerate(self.lookup_choices)
        }
        if self.include_empty_choice:
            counts["__c"] = Count(pk_attname, filter=Q(**{self.lookup_kwarg_isnull: True}))
        return counts


FieldListFilter.register(
    lambda field: isinstance(field, CompositeForeignKey), CompositeFieldListFilter, take_priority=True
)
