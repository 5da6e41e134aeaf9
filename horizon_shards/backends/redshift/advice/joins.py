"""Which joins of a queryset send rows from node to node, told from the models and from EXPLAIN."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import EmptyResultSet
from django.db import connections
from django.db.models import Model, QuerySet
from django.db.models.expressions import Col, Func
from django.db.models.lookups import Contains, EndsWith, Exact, IContains, IEndsWith, In, Lookup, Regex
from django.db.models.sql import Query
from django.db.models.sql.where import AND, WhereNode

from horizon_shards.backends.redshift.advice.findings import Finding
from horizon_shards.backends.redshift.storage import Storage, columns, storage_of

#: What EXPLAIN says of a join that moves rows, as AWS documents it.
MOVES = frozenset({"DS_DIST_INNER", "DS_DIST_OUTER", "DS_BCAST_INNER", "DS_DIST_BOTH", "DS_DIST_ALL_INNER"})
_LABEL = re.compile(r"\bDS_[A-Z_]+")
CURE = (
    "Distribute both tables by a column that the join compares, add it to the join (CompositeForeignKey), or make a "
    "small table diststyle 'all'."
)


class Place(NamedTuple):
    """A column of a table in the query; an empty name where it is no column of a model."""

    table: str
    column: str


Pair = tuple[Place, Place]


def redistributions(queryset: QuerySet[Any]) -> list[Finding]:
    """The joins of a queryset that would move rows between nodes: by its models, and on Redshift by EXPLAIN, too."""
    return [*_static(queryset), *_explained(queryset)]


def advise_queryset(queryset: QuerySet[Any]) -> list[Finding]:
    """The same, and conditions that cannot use the sort key."""
    return [*redistributions(queryset), *_conditions(queryset.model, queryset.query.where)]


def _static(queryset: QuerySet[Any]) -> Iterator[Finding]:
    query = _complete(queryset.query, queryset.db)
    for tables, pairs in _joins(query, queryset.db):
        if (label := _label(pairs)) is not None:
            compared = " and ".join(f"{a.table}.{a.column} = {b.table}.{b.column}" for a, b in pairs)
            yield Finding(
                label, " and ".join(tables), f"The join moves rows between nodes: {compared or 'no pair'}.", CURE
            )


def _complete(query: Query, using: str) -> Query:
    """The query with the joins of select_related() and of the ordering, which are added when the SQL is written."""
    query = query.clone()
    query.get_compiler(using).pre_sql_setup()
    return query


def _joins(query: Query, using: str, outer: Query | None = None) -> Iterator[tuple[tuple[str, str], list[Pair]]]:
    """Each join of a query and of its subqueries: the two tables, and the columns that it compares."""
    if query.is_empty():
        return
    for combined in query.combined_queries:
        yield from _joins(_complete(combined, using), using)
    for alias, join in query.alias_map.items():
        if getattr(join, "parent_alias", None) and query.alias_refcount[alias]:
            before, after = query.alias_map[join.parent_alias].table_name, join.table_name
            pairs = [(Place(before, a), Place(after, b)) for a, b in _columns(join)]
            yield (before, after), pairs
    if outer is not None:
        pairs = [*_correlated(query, outer)]
        yield (str(query.get_initial_alias()), str(outer.get_initial_alias())), pairs
    for lookup, inner in _subqueries(query):
        if isinstance(lookup, In):
            selected: Any = inner.select[0] if inner.select else _key_of(inner)
            pair = (_place(query, lookup.lhs), _place(inner, selected))
            yield (pair[0].table, pair[1].table), [pair]
            yield from _joins(inner, using)
        elif any(alias in query.alias_map and alias not in inner.alias_map for alias in inner.external_aliases):
            yield from _joins(inner, using, query)
        else:
            yield from _joins(inner, using)


def _key_of(query: Any) -> Any:
    return query.model._meta.pk.get_col(query.get_initial_alias())


def _columns(join: Any) -> Iterable[tuple[str, str]]:
    fields = getattr(join, "join_fields", None)
    return [(a.column, b.column) for a, b in fields] if fields else join.join_cols


def _correlated(query: Query, outer: Query) -> Iterator[Pair]:
    for lookup in _leaves(query.where):
        if isinstance(lookup, Exact) and isinstance(lookup.lhs, Col) and isinstance(lookup.rhs, Col):
            sides = [
                _place(query if side.alias in query.alias_map else outer, side) for side in (lookup.lhs, lookup.rhs)
            ]
            yield sides[0], sides[1]


def _leaves(node: Any) -> Iterator[Any]:
    """The conditions that all hold."""
    if isinstance(node, WhereNode):
        if node.connector == AND and not node.negated:
            for child in node.children:
                yield from _leaves(child)
    else:
        yield node


def _subqueries(query: Query) -> Iterator[tuple[Any, Query]]:
    """The queries inside, with the lookup that compares them; not those of these."""
    stack: list[tuple[Any, Any]] = [(None, child) for child in (query.where, *query.annotations.values())]
    while stack:
        parent, node = stack.pop()
        inner = node if isinstance(node, Query) else getattr(node, "query", None)
        if isinstance(inner, Query):
            yield parent, inner
        elif isinstance(node, WhereNode):
            stack.extend((None, child) for child in node.children)
        elif isinstance(node, Lookup):
            stack.extend((node, child) for child in (node.lhs, node.rhs) if hasattr(child, "resolve_expression"))
        elif hasattr(node, "get_source_expressions"):
            stack.extend((parent, child) for child in node.get_source_expressions() if child is not None)


def _place(query: Query, expression: Any) -> Place:
    if isinstance(expression, Col) and expression.alias in query.alias_map:
        return Place(query.alias_map[expression.alias].table_name, str(expression.target.column))
    return Place(str(query.get_initial_alias()), "")


def _label(pairs: list[Pair]) -> str | None:
    """What EXPLAIN would say of a join that moves rows; None where it moves none."""
    if not pairs:
        return "DS_BCAST_INNER"
    before, after = (_storage(side.table) for side in pairs[0])
    if "all" in (before[0], after[0]):
        return None
    keyed = [(a.column == before[1], b.column == after[1]) for a, b in pairs]
    if any(both == (True, True) for both in keyed):
        return None
    if any(one for one, _ in keyed):
        return "DS_DIST_INNER"
    return "DS_DIST_OUTER" if any(other for _, other in keyed) else "DS_DIST_BOTH"


def _storage(table: str) -> tuple[str, str | None]:
    """How a table is distributed, and by which column."""
    model = models_by_table().get(table)
    stated: Storage = storage_of(model) if model is not None else Storage(name="")
    return stated.diststyle, columns(model, [stated.distkey])[0] if model is not None and stated.distkey else None


def models_by_table() -> dict[str, type[Model]]:
    """All models, those of many-to-many relations, too."""
    return {model._meta.db_table: model for model in apps.get_models(include_auto_created=True)}


def _explained(queryset: QuerySet[Any]) -> Iterator[Finding]:
    if connections[queryset.db].vendor != "redshift":
        return
    try:
        plan = queryset.explain()
    except EmptyResultSet:
        return
    lines = [*plan.splitlines(), ""]
    for line, after in pairwise(lines):
        for label in set(_LABEL.findall(line)) & MOVES:
            condition = after.strip() if "Cond" in after else ""
            yield Finding(label, queryset.model._meta.label, f"EXPLAIN says {label}. {condition}".strip(), CURE)


def _conditions(model: type[Model], where: Any) -> Iterator[Finding]:
    """Conditions that read every block: functions over a column of the sort key, and patterns that begin anywhere."""
    sorted_by = columns(model, storage_of(model).sortkey)
    for node in _all(where):
        if not isinstance(node, Lookup):
            continue
        inside = [col.target.column for col in _cols(node.lhs)] if isinstance(node.lhs, Func) else []
        if any(column in sorted_by for column in inside):
            message = f"{type(node.lhs).__name__} over a column of the sort key: every block is read."
            yield Finding("function-on-sortkey", model._meta.label, message, "Compare the column itself, with a range.")
        elif isinstance(node, (Contains, IContains, EndsWith, IEndsWith, Regex)):
            message = f"The lookup {node.lookup_name} reads every row of its column."
            yield Finding(
                "scan", model._meta.label, message, "Filter by the sort key as well, or store what is asked for."
            )


def _all(node: Any) -> Iterator[Any]:
    if isinstance(node, WhereNode):
        for child in node.children:
            yield from _all(child)
    else:
        yield node


def _cols(expression: Any) -> Iterator[Col]:
    if isinstance(expression, Col):
        yield expression
    else:
        for source in expression.get_source_expressions():
            if source is not None:
                yield from _cols(source)
