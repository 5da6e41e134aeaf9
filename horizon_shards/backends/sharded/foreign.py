"""``select_related()`` to models that live elsewhere: a second query by key, joined in the client."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

from django.db.models import ForeignKey, Model
from django.db.models.expressions import Col
from django.db.models.query_utils import select_related_descend

from horizon_shards.context import whole_results
from horizon_shards.placement import placement_of

#: Rows looked at together; each such chunk costs one query a relation.
CHUNK = 1_000


class RelatedKey(Col):
    """The foreign key's column, under the name of the field it refers to."""

    def __init__(self, alias: str, field: Any) -> None:
        super().__init__(alias, field.target_field, output_field=field.target_field)
        self.column = field.get_col(alias)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """The column of the foreign key."""
        return compiler.compile(self.column)


class ForeignRelation:
    """One relation that leaves the group; stands for the related model where Django makes instances."""

    def __init__(self, field: Any, index: int, nested: dict[str, Any]) -> None:
        target = field.target_field
        self.field = field
        self.index = index
        self.nested = nested
        self._meta = SimpleNamespace(pk=target, pk_fields=[target])
        self.found: dict[Any, Model] = {}

    def fetch(self, rows: list[list[Any]]) -> None:
        """Fetch the instances of these rows in one query; a key that nothing has becomes None."""
        keys = {row[self.index] for row in rows if row[self.index] is not None} - self.found.keys()
        if keys:
            queryset = self.field.related_model._base_manager.filter(**{f"{self.field.target_field.name}__in": keys})
            if self.nested:
                queryset.query.select_related = self.nested
            attname = self.field.target_field.attname
            # A row that a shard left out would look like one that is not there.
            with whole_results():
                self.found.update({getattr(instance, attname): instance for instance in queryset})
        for row in rows:
            if row[self.index] not in self.found:
                row[self.index] = None

    def from_db(self, db: str, names: list[str], values: list[Any], **kwargs: Any) -> Model:
        """The instance that was fetched for the key in ``values``."""
        return self.found[values[0]]


class ForeignRelations:
    """Mixed into compilers that select rows."""

    logical: Any
    query: Any
    connection: Any

    #: The relations that leave the group, as selecting found them.
    foreign: list[ForeignRelation] | tuple[()] = ()

    def get_related_selections(
        self,
        select: Any,
        select_mask: Any,
        opts: Any = None,
        root_alias: Any = None,
        cur_depth: int = 1,
        requested: Any = None,
        restricted: Any = None,
    ) -> list[Any]:
        """Leave relations that leave the group out of the joins, and select their keys instead."""
        if opts is None:
            opts, root_alias = self.query.get_meta(), self.query.get_initial_alias()
            self.foreign = []
        if requested is None:
            requested = self.query.select_related
            if not isinstance(requested, dict):
                requested = _everything(opts, self.query.max_depth)
        leaving = [field for field in opts.fields if self._leaves(field, requested, select_mask)]
        staying = {name: more for name, more in requested.items() if name not in {field.name for field in leaving}}
        infos: list[Any] = super().get_related_selections(  # type: ignore[misc]
            select, select_mask, opts, root_alias, cur_depth, staying, True
        )
        return infos + [self._info(field, root_alias, select, requested[field.name]) for field in leaving]

    def _leaves(self, field: Any, requested: dict[str, Any], select_mask: Any) -> bool:
        if not isinstance(field, ForeignKey) or not select_related_descend(field, True, requested, select_mask):
            return False
        placement = placement_of(field.related_model)
        return placement is None or placement.database != self.logical.alias

    def _info(self, field: Any, alias: str, select: Any, nested: dict[str, Any]) -> dict[str, Any]:
        relation = ForeignRelation(field, len(select), nested)
        self.foreign = [*self.foreign, relation]
        select.append((RelatedKey(alias, field), None))
        return {
            "model": relation,
            "field": field,
            "reverse": False,
            "local_setter": field.set_cached_value,
            "remote_setter": field.remote_field.set_cached_value if field.unique else lambda obj, value: None,
            "from_parent": False,
            "select_fields": [relation.index],
            "related_klass_infos": [],
        }

    def results_iter(self, *args: Any, **kwargs: Any) -> Any:
        """The rows, each chunk after the instances it refers to were fetched."""
        rows = super().results_iter(*args, **kwargs)  # type: ignore[misc]
        return self._with_foreign(rows) if self.foreign else rows

    def _with_foreign(self, rows: Iterator[Any]) -> Iterator[Any]:
        while chunk := [list(row) for row in islice(rows, CHUNK)]:
            for relation in self.foreign:
                relation.fetch(chunk)
            yield from chunk


def _everything(opts: Any, depth: int) -> dict[str, Any]:
    """What ``select_related()`` without names follows: foreign keys that are not NULL, to Django's depth."""
    if depth == 0:
        return {}
    return {
        field.name: _everything(field.related_model._meta, depth - 1)
        for field in opts.fields
        if field.remote_field and select_related_descend(field, False, {}, set())
    }
