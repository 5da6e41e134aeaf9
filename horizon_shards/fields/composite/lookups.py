"""Lookups on a composite foreign key: instances, tuples of its parts, lists of these, and querysets.

A row without a value in every column has no relation, so each condition is false for it and never unknown:
``exclude()`` finds it. Django's own lookups leave it out.
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import ForeignObject, Model
from django.db.models.expressions import Col, ColPairs
from django.db.models.fields import related_lookups
from django.db.models.fields.tuple_lookups import TupleIn, TupleIsNull, tuple_lookups
from django.db.models.lookups import IsNull
from django.db.models.sql import Query
from django.db.models.sql.where import AND, WhereNode

#: Django's lookups on tuples, by name.
TUPLES: dict[str, Any] = tuple_lookups


def key_of_value(field: Any, value: Any) -> tuple[Any, ...] | None:
    """The values of the key's columns that an instance or a tuple stands for; None where no row can have them."""
    if isinstance(value, Model):
        return _key_of_instance(field, value)
    if not isinstance(value, tuple | list) or len(value) != len(field.to_fields):
        names = ", ".join(field.to_fields)
        raise ValueError(f"{field} is compared with {value!r}: give an instance, or a tuple of ({names}).")
    parts = tuple(part.pk if isinstance(part, Model) else part for part in value)
    return None if None in parts else parts


def _key_of_instance(field: Any, instance: Model) -> tuple[Any, ...] | None:
    if not instance._is_pk_set():  # type: ignore[attr-defined]
        raise ValueError("Model instances passed to related filters must be saved.")
    if not field.accepts(instance):
        return None
    values = tuple(getattr(instance, target.attname) for target in field.foreign_related_fields)
    return None if None in values else values


class OnComposite:
    """Mixed into Django's lookups on relations; a lookup from the far side (on the child's id) is Django's."""

    lhs: Any
    rhs: Any
    lookup_name: str

    def __init__(self, lhs: Any, rhs: Any) -> None:
        if isinstance(lhs, Col) and _is_composite(lhs.output_field):
            field: Any = lhs.output_field
            lhs = ColPairs(lhs.alias, (lhs.target,), field.foreign_related_fields, field)
        super().__init__(lhs, rhs)  # type: ignore[call-arg]

    @property
    def is_forward(self) -> bool:
        """Whether the columns of the key are compared."""
        return isinstance(self.lhs, ColPairs) and _is_composite(self.lhs.output_field)

    def get_prep_lookup(self) -> Any:
        """The right side as a tuple; None is left to Django, which asks for NULL then."""
        is_query = hasattr(self.rhs, "resolve_expression")
        if not self.is_forward or is_query or self.rhs is None:
            return super().get_prep_lookup()  # type: ignore[misc]
        key = key_of_value(self.lhs.output_field, self.rhs)
        return () if key is None else key

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """The columns compared as a tuple, and none of them NULL."""
        if not self.is_forward or hasattr(self.rhs, "resolve_expression"):
            return super().as_sql(compiler, connection)  # type: ignore[misc]
        if self.rhs == ():
            raise EmptyResultSet
        return compiler.compile(self._without_null(TUPLES[self.lookup_name](self.lhs, self.rhs)))

    def _without_null(self, lookup: Any) -> WhereNode:
        nullable: list[Any] = [IsNull(column, False) for column in self.lhs.get_cols() if column.target.null]
        return WhereNode([lookup, *nullable], connector=AND)


def _is_composite(field: Any) -> bool:
    return isinstance(field, ForeignObject) and hasattr(field, "raw_parts")


class CompositeExact(OnComposite, related_lookups.RelatedExact):  # type: ignore[misc]
    """``rel=instance``, ``rel=(a, b)``."""


class CompositeLessThan(OnComposite, related_lookups.RelatedLessThan):  # type: ignore[misc]
    """``rel__lt=(a, b)``."""


class CompositeLessThanOrEqual(OnComposite, related_lookups.RelatedLessThanOrEqual):  # type: ignore[misc]
    """``rel__lte=(a, b)``."""


class CompositeGreaterThan(OnComposite, related_lookups.RelatedGreaterThan):  # type: ignore[misc]
    """``rel__gt=(a, b)``."""


class CompositeGreaterThanOrEqual(OnComposite, related_lookups.RelatedGreaterThanOrEqual):  # type: ignore[misc]
    """``rel__gte=(a, b)``."""


class CompositeIn(OnComposite, related_lookups.RelatedIn):  # type: ignore[misc]
    """``rel__in=``: instances, tuples, or a queryset of the related model or of tuples."""

    def get_prep_lookup(self) -> Any:
        """Tuples without what no row can have; a queryset selects the fields that the key refers to."""
        if not self.is_forward:
            return super(OnComposite, self).get_prep_lookup()
        field = self.lhs.output_field
        if self.rhs_is_direct_value():
            keys = [key_of_value(field, value) for value in self.rhs if value is not None]
            return list(dict.fromkeys(key for key in keys if key is not None))
        if field.raw_parts and isinstance(self.rhs, Query) and self.rhs.model is field.related_model:
            self.rhs = self.rhs.clone()
            self.rhs.add_q(field.raw_condition())
        return super(OnComposite, self).get_prep_lookup()

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """``(a, b) IN (...)``, and no column NULL."""
        if not self.is_forward:
            return super(OnComposite, self).as_sql(compiler, connection)
        if self.rhs_is_direct_value() and not self.rhs:
            raise EmptyResultSet
        return compiler.compile(self._without_null(TupleIn(self.lhs, self.rhs)))


class CompositeIsNull(OnComposite, related_lookups.RelatedIsNull):  # type: ignore[misc]
    """``rel__isnull=``: whether any column of the key is NULL."""

    def get_prep_lookup(self) -> Any:
        """The right side, which Django checks to be a bool."""
        return self.rhs

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """``a IS NULL OR b IS NULL``, or the opposite."""
        if not self.is_forward:
            return super(OnComposite, self).as_sql(compiler, connection)
        return compiler.compile(TupleIsNull(self.lhs, self.rhs))


LOOKUPS = (
    CompositeExact,
    CompositeIn,
    CompositeIsNull,
    CompositeLessThan,
    CompositeLessThanOrEqual,
    CompositeGreaterThan,
    CompositeGreaterThanOrEqual,
)
