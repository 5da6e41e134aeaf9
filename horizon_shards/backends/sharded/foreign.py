"""``select_related()`` to models that live elsewhere: a second query by key, joined in the client."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from types import SimpleNamespace
from typing import Any

from django.db.models import ForeignKey, Model
from django.db.models.expressions import Col
from django.db.models.query_utils import select_related_descend

from horizon_shards import context
from horizon_shards.backends.sharded.federation.refusals import limit_of
from horizon_shards.backends.sharded.tables import pairs_are_colocated
from horizon_shards.context import whole_results
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.placement import Placement, placement_of

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

    def get_group_by_cols(self) -> list[Any]:
        """That column: a primary key among them would stand for all columns of its table."""
        return [self.column]


class ForeignRelation:
    """One relation that leaves the group; stands for the related model where Django makes instances."""

    def __init__(
        self,
        field: Any,
        index: int,
        nested: dict[str, Any],
        wanted: tuple[str, ...] = (),
        *,
        spelling_is_loose: bool,
    ) -> None:
        target = field.target_field
        self.spelling_is_loose = spelling_is_loose
        self.field = field
        self.index = index
        self.nested = nested
        #: What ``only()`` or ``defer()`` leave of its columns; all where it is empty.
        self.wanted = wanted
        self._meta = SimpleNamespace(pk=target, pk_fields=[target])
        self.found: dict[Any, Model] = {}

    def fetch(self, rows: list[list[Any]]) -> None:
        """Fetch the instances of these rows in one query; a key that nothing has becomes None."""
        keys = {row[self.index] for row in rows if row[self.index] is not None} - self.found.keys()
        if keys:
            queryset = self.field.related_model._base_manager.filter(**{f"{self.field.target_field.name}__in": keys})
            if self.nested:
                queryset.query.select_related = self.nested
            if self.wanted:
                queryset = queryset.only(self.field.target_field.name, *self.wanted)
            attname = self.field.target_field.attname
            # A row that a shard left out would look like one that is not there.
            with whole_results():
                self.found.update({getattr(instance, attname): instance for instance in queryset})
        for row in rows:
            if row[self.index] not in self.found:
                self._check_spelling(row[self.index])
                row[self.index] = None

    def _check_spelling(self, key: Any) -> None:
        """Raise where the database may call a key equal that was not found: a text, on MySQL."""
        if self.spelling_is_loose and isinstance(key, str):
            raise QueryNotSupported(
                f"select_related({self.field.name!r}) of {self.field.model._meta.label} found no row for the text "
                f"{key!r}, which the database may call equal to one in another case. Use prefetch_related("
                f"{self.field.name!r}), or keys of one spelling.",
                reason="join-leaves-group",
            )

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
                select_mask = select_mask and _with_relations(select_mask, opts, requested)
        leaving = [field for field in opts.fields if self._leaves(field, requested, select_mask)]
        staying = {name: more for name, more in requested.items() if name not in {field.name for field in leaving}}
        infos: list[Any] = super().get_related_selections(  # type: ignore[misc]
            select, select_mask, opts, root_alias, cur_depth, staying, True
        )
        return infos + [self._info(field, root_alias, select, requested[field.name], select_mask) for field in leaving]

    def get_qualify_sql(self) -> Any:
        """A condition on a window: Django makes its inner query by itself, with every join of ``select_related()``."""
        if self.foreign:
            raise QueryNotSupported(
                "A condition on a window is not supported together with select_related() to another database: use "
                "prefetch_related().",
                reason="window",
            )
        return super().get_qualify_sql()  # type: ignore[misc]

    def get_combinator_sql(self, combinator: str, *args: Any) -> Any:
        """A set operation: Django makes its parts by itself, with every join of ``select_related()``."""
        if self.foreign:
            raise QueryNotSupported(
                f"{combinator}() is not supported together with select_related() to another database: use "
                "prefetch_related().",
                reason="combinator",
            )
        return super().get_combinator_sql(combinator, *args)  # type: ignore[misc]

    def _leaves(self, field: Any, requested: dict[str, Any], select_mask: Any) -> bool:
        if not isinstance(field, ForeignKey) or not select_related_descend(field, True, requested, select_mask):
            return False
        placement = placement_of(field.related_model)
        return placement is None or placement.database != self.logical.alias or self._is_apart(field, placement)

    def _is_apart(self, field: Any, far: Placement) -> bool:
        """Whether the related row, known by its primary key, may be on another shard of the group."""
        home = placement_of(field.model)
        if home is None or not (home.sharded and far.sharded):
            return False
        if context.pinned_shard(self.logical.alias) is not None or limit_of(self.logical.group):
            # The one shard joins what it has, and federation joins as one database: also where the far row is gone.
            return False
        known = field.target_field.primary_key and not far.pk_repeats
        return known and not pairs_are_colocated(field.related_fields, home, far)

    def _info(self, field: Any, alias: str, select: Any, nested: dict[str, Any], mask: Any) -> dict[str, Any]:
        wanted = tuple(_names(mask.get(field) or {}))
        loose = self.logical.vendor == "mysql"
        relation = ForeignRelation(field, len(select), nested, wanted, spelling_is_loose=loose)
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


def _with_relations(select_mask: Any, opts: Any, requested: dict[str, Any]) -> Any:
    """The mask with what ``select_related()`` without names follows: it overrides ``defer()``."""
    return {field: {} for field in opts.fields if field.name in requested} | select_mask


def _names(mask: dict[Any, Any]) -> Iterator[str]:
    """The columns of Django's select mask, as ``only()`` takes them."""
    for field, inner in mask.items():
        yield from (f"{field.name}__{name}" for name in _names(inner)) if inner else [field.name]


def _everything(opts: Any, depth: int) -> dict[str, Any]:
    """What ``select_related()`` without names follows: foreign keys that are not NULL, to Django's depth."""
    if depth == 0:
        return {}
    return {
        field.name: _everything(field.related_model._meta, depth - 1)
        for field in opts.fields
        if field.remote_field and select_related_descend(field, False, {}, set())
    }
