"""What the planner reads of a query inside another one, as a key: two that have the same are planned alike.

Made of what is known here alone, by exact classes. Values are left out, so no column may be compared with one that may
say where a row is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import aggregates, expressions, functions
from django.db.models.expressions import Col, Exists, F, OrderBy, Ref, Subquery, Value
from django.db.models.fields import json
from django.db.models.lookups import Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from horizon_shards.backends.sharded.shortcut import has_no_extras
from horizon_shards.backends.sharded.walk import VOLATILE, below
from horizon_shards.placement import placement_of


class UnknownShapeError(Exception):
    """A query holds what has to be looked at each time."""


def classes_of(module: Any, names: str) -> set[type]:
    """The classes of these names that this Django has."""
    return {vars(module)[name] for name in names.split() if name in vars(module)}


#: Django's expressions whose value the columns below them decide.
PLAIN = (
    {json.KeyTransform, json.KeyTextTransform}
    | classes_of(expressions, "F Star Value Ref OrderBy OrderByList ExpressionList CombinedExpression")
    | classes_of(expressions, "DurationExpression TemporalSubtraction ExpressionWrapper NegatedExpression Case When")
    | classes_of(functions, " ".join(set(functions.__all__) - VOLATILE))
)
#: Aggregates, of many rows: the ids that they name say nothing of one of them. Some are of later Djangos.
SUMMARIES = classes_of(aggregates, "Count Sum Avg Min Max StdDev Variance AnyValue BitAnd BitOr BitXor StringAgg")
PARTS = classes_of(aggregates, "StringAggDelimiter AggregateFilter AggregateOrderBy")
KNOWN = PLAIN | SUMMARIES | PARTS | {WhereNode, Exists, Subquery}


def key_of(node: Any, outer: frozenset[str]) -> Any:
    """The key of an expression or condition, with the queries inside; raises ``UnknownShapeError``.

    ``outer``: the aliases of the query around it, whose own condition the planner resolves each time.
    """
    kind = type(node)
    if kind is Col:
        return node.alias, node.target.column
    if kind is WhereNode:
        return node.connector, node.negated, _keys(node.children, outer)
    if kind is F:
        return kind, node.name
    if kind is Ref:
        return kind, node.refs
    if isinstance(node, Lookup):
        return kind, key_of(node.lhs, outer), _right_side(node, outer)
    if isinstance(node, Query):
        return _query(node, outer - node.alias_map.keys())
    if kind not in KNOWN or getattr(node, "extra", None):
        raise UnknownShapeError
    return kind, _keys(below(node), outer)


def _keys(nodes: Iterable[Any], outer: frozenset[str]) -> tuple[Any, ...]:
    return tuple([key_of(node, outer) for node in nodes])


def _right_side(lookup: Any, outer: frozenset[str]) -> Any:
    rhs = lookup.rhs
    if hasattr(rhs, "get_source_expressions") and not isinstance(rhs, Value):
        return key_of(rhs, outer)
    if type(lookup.lhs) is Col and lookup.lhs.alias not in outer and _tells(lookup.lhs):
        raise UnknownShapeError
    if isinstance(rhs, list | tuple | set | frozenset):
        return _keys((one for one in rhs if hasattr(one, "resolve_expression")), outer)
    return rhs if isinstance(rhs, bool) else None  # which IS NULL is told


def _tells(column: Any) -> bool:
    """Whether the column's values may say on which shard a row is."""
    placement = placement_of(column.target.model)
    return placement is None or (placement.sharded and column.target.column in placement.telling_columns)


def _query(query: Any, outer: frozenset[str]) -> Any:
    if query.combinator:
        return query.combinator, _keys(query.combined_queries, outer)
    if type(query) is not Query or query.select_related or not has_no_extras(query):
        raise UnknownShapeError
    uses = query.alias_refcount
    groups = query.group_by if isinstance(query.group_by, tuple) else ()
    return (
        query.model,
        tuple([(name, join.identity, join.join_type, bool(uses[name])) for name, join in query.alias_map.items()]),
        key_of(query.where, outer),
        _keys(query.annotations.values(), outer),
        _keys(query.select, outer),
        (query.group_by is None, _keys(groups, outer)),
        tuple([_order(term) for term in query.order_by]),
        (*query.annotations, None, *query.annotation_select, None, *query.values_select, None, *query.distinct_fields),
        (query.distinct, query.is_sliced, query.default_ordering),
    )


def _order(term: Any) -> Any:
    """By names and columns alone: Django compiles them to see what they join, and stops where one can never hold."""
    if isinstance(term, str):
        return term
    if type(term) is OrderBy and type(term.expression) in (F, Col, Ref):
        return key_of(term.expression, frozenset())
    raise UnknownShapeError
