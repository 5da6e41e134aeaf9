"""A ``ModelForm`` that saves into the sink of its model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db.models import Model
from django.forms import ModelForm
from django.forms.models import ModelFormMetaclass

from horizon_shards.exceptions import RecordRefused
from horizon_shards.sinks.base import Sink
from horizon_shards.sinks.registry import sink_of

if TYPE_CHECKING:
    Base = ModelForm[Model]
else:
    Base = ModelForm


class SinkModelForm(Base, metaclass=ModelFormMetaclass):
    """As ``ModelForm``, and :meth:`save` puts a new row into the sink of the model.

    Where the sink does not store at once, uniqueness and constraints are not asked of the database: the form then
    validates without a query, unless a field of its own makes one. Existing rows cannot be changed by such a sink.
    """

    @property
    def sink(self) -> Sink:
        """The sink of the model, by the settings."""
        return sink_of(self._meta.model)

    def save(self, commit: bool = True) -> Any:
        """The instance, put into the sink unless ``commit`` is False; ``SinkError`` where it was not taken."""
        if not commit or self.errors or not self.instance._state.adding:
            refuse_change(self.sink, self.instance)
            return super().save(commit=commit)
        if not self.sink.stores_at_once:
            refuse_many_to_many(self._meta.model, self.cleaned_data)
        self.sink.put(self.instance)
        if self.sink.stores_at_once:
            self._save_m2m()  # type: ignore[attr-defined]
        return self.instance

    def validate_unique(self) -> None:
        """Ask the database only where the row will be there at once."""
        if self.sink.stores_at_once:
            super().validate_unique()

    def validate_constraints(self) -> None:
        """As :meth:`validate_unique`: constraints are validated by queries too."""
        if self.sink.stores_at_once:
            super().validate_constraints()


def refuse_change(sink: Sink, instance: Model) -> None:
    """``RecordRefused`` for a row that is stored already, where the sink can only add."""
    if not (instance._state.adding or sink.stores_at_once):
        raise RecordRefused(
            f"{instance._meta.label} {instance.pk!r} is stored already, and the sink {sink.name!r} only adds: save it "
            "by the ORM."
        )


def refuse_many_to_many(model: type[Model], values: Mapping[str, Any]) -> None:
    """``RecordRefused`` where a value is for a many-to-many field: such rows refer to one that is not there yet."""
    for field in model._meta.many_to_many:
        if values.get(field.name):
            raise RecordRefused(
                f"{model._meta.label}.{field.name} is a many-to-many field, whose rows need this one stored: "
                "leave it out, or send its rows as records of their own."
            )
