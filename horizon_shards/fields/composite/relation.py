"""A composite foreign key as the related model sees it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import FieldError
from django.db.models import ForeignObjectRel
from django.db.models.sql.where import AND, WhereNode

from horizon_shards.fields.composite.restriction import WholeCorrelation


class CompositeRel(ForeignObjectRel):
    """The far side of a composite foreign key."""

    def set_field_name(self) -> None:
        """There is no one field: without the name Django's search in the admin gives primary keys."""

    def get_related_field(self) -> Any:
        """Raise ``FieldError``: there is more than one field, so the relation cannot be written as a whole."""
        names = ", ".join(self.field.from_fields)
        raise FieldError(f"{self.field} has no column: name its fields ({names}).")

    def get_extra_restriction(self, alias: str, related_alias: str) -> WhereNode | None:
        """What a join from the related model needs beside the pairs of columns."""
        field: Any = self.field
        found: WhereNode | None = field.get_extra_restriction(related_alias, alias)
        first, table = field.foreign_related_fields[0], field.related_model._meta.db_table
        # In a subquery the aliases are not the tables' names.
        if related_alias == table or first.unique:
            return found
        guard: Any = WholeCorrelation(field, related_alias)
        return WhereNode([guard] if found is None else [found, guard], connector=AND)


class CompositeOneToOneRel(CompositeRel):
    """The far side where at most one row refers to an instance."""

    multiple = False
