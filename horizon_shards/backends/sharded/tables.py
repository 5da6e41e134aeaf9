"""The tables of a query, where they live, and whether their rows meet on one shard."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.apps import apps
from django.core.exceptions import EmptyResultSet, FieldError
from django.db.models import Model
from django.db.models.sql import Query
from django.db.models.sql.constants import LOUTER

from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.placement import Placement, are_linked, placement_of


class Tables:
    """What each table alias of a query is: a placement, or nothing where a table is per shard by nature."""

    def __init__(self, query: Query, database: str) -> None:
        self.query = query
        self.database = database
        self.by_alias: dict[str, Placement] = {}
        model: Any = query.get_meta().concrete_model
        self.base = self._placement(model, None)
        if self.base is not None:
            self.by_alias[next(iter(query.alias_map), model._meta.db_table)] = self.base
        if len(query.alias_map) > 1:
            self.add_joins()
        if query.distinct_fields:
            _check_distinct(query, database)

    @property
    def sharded(self) -> bool:
        """Whether any table holds spread rows, so that the shards have to be resolved."""
        return any(placement.sharded for placement in self.by_alias.values())

    def add_joins(self) -> None:
        """Take up joins that came since (ordering and ``select_related`` add theirs while compiling)."""
        query = self.query
        join: Any
        for alias, join in query.alias_map.items():
            if not query.alias_refcount[alias] or alias in self.by_alias:
                continue
            if join.parent_alias is None:
                self._add_trimmed(alias, join.table_name)
                continue
            placement = self._placement(join.join_field.related_model, join)
            if placement is not None:
                self._check_join(join, placement)
                self.by_alias[alias] = placement

    def _add_trimmed(self, alias: str, table_name: str) -> None:
        """A first table that is not the model's own: Django trims the joins that lead a subquery to it."""
        model = model_of_table(table_name)
        placement = None if model is None else self._placement(model, None)
        if placement is not None:
            self.by_alias[alias] = placement

    def _placement(self, model: type[Model], join: Any) -> Placement | None:
        placement = placement_of(model)
        if placement is not None and placement.database == self.database:
            return placement
        if placement is None and model._meta.label_lower == "migrations.migration":
            return None
        home = placement.database if placement is not None else "its own database"
        if join is None:
            raise QueryNotSupported(
                f"{model._meta.label} does not live in {self.database!r} but in {home}: leave using("
                f"{self.database!r}) out, or declare where the model lives by a class Sharding.",
                reason="foreign-model",
            )
        raise QueryNotSupported(
            f"The query on {self.query.get_meta().label} joins {model._meta.label}, which lives in {home}, not in "
            f"{self.database!r}: no shard can join it. Instead of select_related() use prefetch_related("
            f"{join.join_field.name!r}); instead of filtering through it, fetch its keys first and filter by "
            f"{join.join_field.name}__in=[...].",
            reason="join-leaves-group",
        )

    def _check_join(self, join: Any, placement: Placement) -> None:
        if not placement.sharded:
            return
        parent = self.by_alias.get(join.parent_alias)
        if parent is None:
            return
        if parent.sharded:
            if not join_is_colocated(join, parent, placement):
                self._refuse_join(parent, placement)
        elif join.join_type == LOUTER:
            raise QueryNotSupported(
                f"{parent.model._meta.label} is copied to every shard, so an outer join to the sharded "
                f"{placement.model._meta.label} would give its unmatched rows once a shard. Query "
                f"{placement.model._meta.label} instead, or filter on it so that the join is an inner one.",
                reason="outer-join-from-reference",
            )
        elif any(other.sharded for other in self.by_alias.values()):
            self._refuse_join(next(other for other in self.by_alias.values() if other.sharded), placement)

    def _refuse_join(self, parent: Placement, child: Placement) -> None:
        left, right = parent.model._meta.label, child.model._meta.label
        raise QueryNotSupported(
            f"{left} and {right} are not known to be colocated: nothing guarantees that joined rows are on one "
            "shard. Give the foreign key db_constraint=True (the shard's database then guarantees it), or make it "
            "the shard key; else fetch the keys first and filter by __in=[...].",
            reason="join-not-colocated",
        )


def model_of_table(name: str) -> type[Model] | None:
    """The installed model whose rows a table holds."""
    return next((m for m in apps.get_models(include_auto_created=True) if m._meta.db_table == name), None)


def model_of(query: Any) -> Any:
    """The model of the table that a query begins with: Django trims the joins that lead a subquery to it."""
    joins = (join for alias, join in query.alias_map.items() if query.alias_refcount[alias])
    first: Any = next(joins, None)
    if first is None or first.parent_alias is not None or first.table_name == query.get_meta().db_table:
        return query.model
    return model_of_table(first.table_name) or query.model


def _check_distinct(query: Query, database: str) -> None:
    """Raise where ``distinct("field")`` joins, while compiling, what it may not."""
    other = query.clone()
    other.distinct_fields = ()
    with suppress(FieldError):  # which compiling raises
        for name in query.distinct_fields:
            other.resolve_ref(name, allow_joins=True)
    Tables(other, database)


def check_joins_of_compiling(query: Query, database: str, connection: Any) -> None:
    """Raise where ordering or ``select_related()`` of an inner query join, while compiling, what they may not."""
    if not (query.order_by or query.get_meta().ordering or query.select_related) or query.combinator:
        return
    query = query.clone()
    if query.order_by:
        # An annotation has its joins already, and may be an aggregate that can never hold.
        query.order_by = tuple(term for term in query.order_by if _name_of(term) not in query.annotations)
        query.default_ordering = False
    with suppress(EmptyResultSet):  # then nothing is sent
        connection.ops.compiler("SQLCompiler")(query, connection, connection.alias).pre_sql_setup()
    Tables(query, database)


def _name_of(term: Any) -> str:
    """The name that a term of ORDER BY is, if it is one alone."""
    term = getattr(term, "expression", term)
    return term.lstrip("-+") if isinstance(term, str) else str(getattr(term, "name", ""))


def join_is_colocated(join: Any, parent: Placement, child: Placement) -> bool:
    """Whether a join's own condition brings together only rows of one shard."""
    return pairs_are_colocated([(_plain(left), _plain(right)) for left, right in join.join_fields], parent, child)


def pairs_are_colocated(pairs: Any, parent: Placement, child: Placement) -> bool:
    """Whether rows that agree in each pair of fields, one of each side, are on one shard."""
    if len(parent.key) == len(child.key) and all(
        (left, right) in pairs for left, right in zip(parent.key, child.key, strict=True)
    ):
        return True
    return any(are_linked(parent, left, child, right) for left, right in pairs)


def _plain(field: Any) -> Any:
    """The model field behind what a join names."""
    return getattr(field, "target", field)
