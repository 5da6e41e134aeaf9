"""A foreign key of several columns: (shard key, id) -> (shard key, id)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import router
from django.db.models import NOT_PROVIDED, Field, ForeignObject, Model, Q
from django.db.models.expressions import ColPairs
from django.db.models.fields.related_descriptors import ReverseOneToOneDescriptor
from django.db.models.fields.tuple_lookups import TupleIn
from django.db.models.query_utils import PathInfo

from horizon_shards.fields.composite.deletion import Columnwise, columnwise
from horizon_shards.fields.composite.descriptors import ForwardDescriptor, KeyAttribute, ReverseDescriptor
from horizon_shards.fields.composite.forms import CompositeChoiceField
from horizon_shards.fields.composite.lookups import LOOKUPS, key_of_value
from horizon_shards.fields.composite.parts import FunctionBasedFieldValue, RawFieldValue
from horizon_shards.fields.composite.relation import CompositeOneToOneRel, CompositeRel
from horizon_shards.fields.composite.restriction import Correlation, join_condition

Part = RawFieldValue | FunctionBasedFieldValue
#: Ends the name of the attribute that holds the key; three characters, which Django's serializers cut off.
SUFFIX = "_fk"


class CompositeForeignKey(ForeignObject):  # type: ignore[type-arg]
    """A relation by several columns, which other fields of the model hold.

    ``to_fields``: for each field of the related model the local field with its value, or a
    :class:`RawFieldValue` / :class:`FunctionBasedFieldValue`; an iterable of names where both sides have the
    same. ``null_if_equal``: pairs of a local field and a value that means "no relation", beside NULL.
    ``nullable_fields``: what becomes NULL where the relation is set to None, by ``SET_NULL`` too: local fields, or a
    mapping of these to the values that they get; by default all those with ``null=True``.

    ``<name>_fk`` is the key as a tuple. The field has no column, and so no index and no constraint of its own.
    """

    description = "Foreign key of several columns"
    rel_class = CompositeRel
    related_accessor_class: Any = ReverseDescriptor
    forward_related_accessor_class = ForwardDescriptor
    #: Where Django makes and drops constraints of foreign keys, it finds none here.
    db_constraint = False

    def __init__(
        self,
        to: Any,
        on_delete: Any,
        to_fields: Mapping[str, str | Part] | Iterable[str],
        *,
        null_if_equal: Iterable[tuple[str, Any]] = (),
        nullable_fields: Mapping[str, Any] | Iterable[str] | None = None,
        **kwargs: Any,
    ) -> None:
        pairs = dict(to_fields) if isinstance(to_fields, Mapping) else {name: name for name in to_fields}
        self.raw_parts: dict[str, Part] = {name: part for name, part in pairs.items() if not isinstance(part, str)}
        columns = {name: local for name, local in pairs.items() if isinstance(local, str)}
        if not columns:
            raise ValueError("A composite foreign key needs a local field in to_fields.")
        self.null_if_equal = tuple((name, value) for name, value in null_if_equal)
        self.nullable_fields = _nullable(nullable_fields)
        # The columns are written by their own fields: fixtures hold each value once.
        kwargs["serialize"] = False
        super().__init__(
            to, columnwise(on_delete, null=kwargs.get("null", False)), [*columns.values()], [*columns], **kwargs
        )
        self.requires_unique_target = not self.raw_parts

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        del kwargs["from_fields"], kwargs["serialize"]
        kwargs["on_delete"] = self.on_delete
        kwargs["to_fields"] = dict(zip(self.to_fields, self.from_fields, strict=True)) | self.raw_parts
        if self.null_if_equal:
            kwargs["null_if_equal"] = list(self.null_if_equal)
        if self.nullable_fields is not None:
            kwargs["nullable_fields"] = self.nullable_fields
        return name, f"horizon_shards.fields.{type(self).__name__}", args, kwargs

    @property
    def on_delete(self) -> Any:
        """The handler as it was given."""
        handler = self.remote_field.on_delete
        return handler.original if isinstance(handler, Columnwise) else handler

    def get_attname(self) -> str:
        """The attribute that holds the key as a tuple."""
        return f"{self.name}{SUFFIX}"

    def contribute_to_class(self, cls: Any, name: str, private_only: bool = False, **kwargs: Any) -> None:
        super().contribute_to_class(cls, name, private_only=private_only, **kwargs)
        setattr(cls, self.attname, KeyAttribute(self))

    def raw_fields(self) -> Iterator[tuple[Any, Part]]:
        """The fields of the related model whose values no column holds, with their parts."""
        for name, part in self.raw_parts.items():
            yield self.related_model._meta.get_field(name), part

    def raw_condition(self) -> Q:
        """What the raw parts say of the related row."""
        return Q(**{name: part.value for name, part in self.raw_parts.items()})

    def null_values(self) -> Iterator[tuple[Field[Any, Any], Any]]:
        """Local fields with the values that mean NULL."""
        for name, value in self.null_if_equal:
            yield self.opts.get_field(name), value

    def accepts(self, instance: Model) -> bool:
        """Whether the raw parts allow this related instance."""
        return all(getattr(instance, target.attname) == part.value for target, part in self.raw_fields())

    def column_values(self, instance: Model) -> tuple[Any, ...]:
        """The local columns' values, all None where one has a value that means NULL."""
        values = tuple(getattr(instance, local.attname) for local in self.local_related_fields)
        if any(getattr(instance, column.attname) == value for column, value in self.null_values()):
            return (None,) * len(values)
        return values

    def get_local_related_value(self, instance: Model) -> tuple[Any, ...]:
        """What the related instance must have: the columns, then the raw parts."""
        return (*self.column_values(instance), *(part.value for part in self.raw_parts.values()))

    def get_foreign_related_value(self, instance: Model) -> tuple[Any, ...]:
        """The same of a related instance."""
        fields = (*self.foreign_related_fields, *(target for target, _ in self.raw_fields()))
        return tuple(getattr(instance, target.attname) for target in fields)

    def condition_of(self, keys: Iterable[tuple[Any, ...]]) -> Q:
        """The condition on the related model for any of these values of :meth:`get_local_related_value`."""
        length, table = len(self.to_fields), self.related_model._meta.db_table
        found = list(dict.fromkeys(key[:length] for key in keys if None not in key))
        targets = self.foreign_related_fields
        return Q(TupleIn(ColPairs(table, targets, targets, self), found), self.raw_condition())

    def null_columns(self) -> dict[str, Any]:
        """What setting the relation to None writes, by the names of fields."""
        if self.nullable_fields is not None:
            return dict(self.nullable_fields)
        found = {local.name: None for local in self.local_related_fields if local.null}
        if not found:
            raise ValueError(f"{self} cannot be None: none of its columns can be NULL.")
        return found

    def set_null(self, instance: Model) -> None:
        """Take the relation from an instance."""
        for name, value in self.null_columns().items():
            setattr(instance, self.opts.get_field(name).attname, value)

    def columns_for(self, value: Any) -> dict[str, Any]:
        """The columns that relate a row to ``value``: an instance, a tuple or None."""
        if value is None:
            return self.null_columns()
        key = key_of_value(self, value)
        if key is None:
            raise ValueError(f"{self} cannot be {value!r}.")
        return {local.name: part for local, part in zip(self.local_related_fields, key, strict=True)}

    def default_columns(self) -> dict[str, Any]:
        """What ``SET_DEFAULT`` writes: the defaults of those columns that have one."""
        return {local.name: local.get_default() for local in self.local_related_fields if _has_default(local)}

    def get_extra_restriction(self, alias: str | None, related_alias: str) -> Any:
        """What a join needs beside the pairs; ``alias`` is the related table, None in a trimmed subquery."""
        if alias is None:
            return Correlation(self, related_alias)
        return join_condition(self, alias, related_alias)

    def get_extra_descriptor_filter(self, instance: Model) -> Q | dict[str, Any]:
        """What following the relation needs beside the pairs."""
        return self.raw_condition() if self.raw_parts else {}

    def get_forward_related_filter(self, obj: Model) -> dict[str, Any]:
        """The condition for the rows that refer to ``obj``."""
        return {self.name: obj}

    def get_path_info(self, filtered_relation: Any = None) -> list[PathInfo]:
        """The way to the related model; Django may leave the join out only where the columns alone say enough."""
        found: list[PathInfo] = super().get_path_info(filtered_relation)
        nullable = [local for local in self.local_related_fields if local.null]
        if not self.null_if_equal and len(nullable) < 2:
            return found
        return [info._replace(direct=False) for info in found]

    def formfield(self, *, using: str | None = None, **kwargs: Any) -> Any:
        """A choice among the related rows."""
        choices = {"queryset": self.related_model._default_manager.using(using), "relation": self}
        return super().formfield(**{"form_class": CompositeChoiceField, **choices, **kwargs, "blank": self.blank})

    def validate(self, value: Any, model_instance: Model) -> None:  # type: ignore[override]
        """Raise ``ValidationError`` where the relation is missing, or the related row is."""
        Field.validate(self, value, model_instance)
        if value is None:
            return
        using = router.db_for_read(self.related_model, instance=model_instance)
        found = self.related_model._base_manager.using(using).filter(self.get_reverse_related_filter(model_instance))
        if not found.complex_filter(self.get_limit_choices_to()).exists():
            names = ", ".join(map(str, self.to_fields))
            raise ValidationError(
                "%(model)s instance with (%(field)s) %(value)r does not exist.",
                code="invalid",
                params={"model": self.related_model._meta.verbose_name, "field": names, "value": value},
            )


class CompositeOneToOneField(CompositeForeignKey):
    """A composite foreign key that one row at most has: the related instance has the row, not a manager.

    ``full_clean()`` looks for a second row; for the database to guarantee it, add a ``UniqueConstraint`` on the
    local fields.
    """

    description = "One-to-one relation of several columns"
    many_to_one = False
    one_to_one = True
    rel_class = CompositeOneToOneRel
    related_accessor_class = ReverseOneToOneDescriptor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["unique"] = True
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        del kwargs["unique"]
        return name, path, args, kwargs


def _nullable(given: Mapping[str, Any] | Iterable[str] | None) -> dict[str, Any] | None:
    if given is None or isinstance(given, Mapping):
        return None if given is None else dict(given)
    return dict.fromkeys(given)


def _has_default(field: Any) -> bool:
    return field.default is not NOT_PROVIDED


for _lookup in LOOKUPS:
    CompositeForeignKey.register_lookup(_lookup)
