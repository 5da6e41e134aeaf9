"""Forms for the rows that refer to one parent by a composite foreign key."""

from __future__ import annotations

from typing import Any

from django.forms.models import BaseModelFormSet


class CompositeInlineFormSet(BaseModelFormSet):  # type: ignore[type-arg]
    """What ``BaseInlineFormSet`` is for a foreign key; ``relation`` is the composite one."""

    relation: Any
    model: Any

    def __init__(
        self,
        data: Any = None,
        files: Any = None,
        instance: Any = None,
        save_as_new: bool = False,
        prefix: str | None = None,
        queryset: Any = None,
        **kwargs: Any,
    ) -> None:
        self.instance = self.relation.related_model() if instance is None else instance
        self.save_as_new = save_as_new
        rows = self.model._default_manager.all() if queryset is None else queryset
        found = rows.filter(**{self.relation.name: self.instance}) if self._is_known() else rows.none()
        super().__init__(data, files, prefix=prefix, queryset=found, **kwargs)

    def _is_known(self) -> bool:
        return not self.instance._state.adding and None not in self.relation.get_foreign_related_value(self.instance)

    @classmethod
    def get_default_prefix(cls) -> str:
        """The name of the reverse relation."""
        name: str | None = cls.relation.remote_field.get_accessor_name(model=cls.model)
        return (name or cls.relation.name).replace("+", "")

    def initial_form_count(self) -> int:
        """None of them exists where the parent is saved as a new one."""
        return 0 if self.save_as_new else super().initial_form_count()

    def _construct_form(self, i: int, **kwargs: Any) -> Any:
        form = super()._construct_form(i, **kwargs)  # type: ignore[misc]
        if self.save_as_new and form.is_bound:
            form.data = form.data.copy()
            form.data[form.add_prefix(self.model._meta.pk.name)] = None
        if self._is_known():
            form.bind_to(self.instance)
        return form

    @property
    def empty_form(self) -> Any:
        """The form that scripts copy for further rows."""
        form: Any = super().empty_form
        if self._is_known():
            form.bind_to(self.instance)
        return form

    def save_new(self, form: Any, commit: bool = True) -> Any:
        """A row of the parent, which has its key by now."""
        setattr(form.instance, self.relation.name, self.instance)
        return super().save_new(form, commit=commit)

    def save_existing(self, form: Any, obj: Any, commit: bool = True) -> Any:
        """A row that stays the parent's."""
        setattr(form.instance, self.relation.name, self.instance)
        return super().save_existing(form, obj, commit=commit)


class BoundToParent:
    """Of a form: the columns of the relation are known, so that constraints with them can be validated."""

    relation: Any
    _bound = False

    def bind_to(self, parent: Any) -> None:
        """Write the parent's key into the instance."""
        form: Any = self
        setattr(form.instance, self.relation.name, parent)
        self._bound = True

    def _get_validation_exclusions(self) -> set[str]:
        found: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return found - set(self.relation.from_fields) if self._bound else found
