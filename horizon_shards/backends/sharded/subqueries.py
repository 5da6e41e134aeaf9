"""Whether a query inside a query can run on each shard beside it."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models.expressions import Col, ColPairs
from django.db.models.lookups import In
from django.db.models.sql import Query

from horizon_shards.backends.sharded.rawsql import are_harmless
from horizon_shards.backends.sharded.resolve import Shards, resolve
from horizon_shards.backends.sharded.tables import Tables, check_joins_of_compiling
from horizon_shards.backends.sharded.walk import Nested, conjuncts, contents_of, is_equality
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.placement import Placement, are_linked
from horizon_shards.topology import Group

CURE = (
    "Fetch the inner values first and pass them as a list (pk__in=list(inner.values_list('pk', flat=True))), "
    "or relate the inner query to the outer one by the shard key."
)


def check_nested(nested: Nested, outer: dict[str, Placement], shards: Shards, group: Group) -> None:
    """Raise ``QueryNotSupported`` unless each shard's own answer to the inner query is what its rows need.

    ``outer``: the placements of the enclosing queries by alias; ``shards``: where the outer query goes.
    """
    query = nested.query
    if query.combinator:
        for part in query.combined_queries:
            if _tables_here(part, group).sharded:
                raise refused(query, "is a union, intersection or difference")
            check_nested(Nested(part, query, nested.negated), outer, shards, group)
        return
    tables = _tables_here(query, group)
    contents = contents_of(query)
    is_raw = contents.raw and (tables.sharded or not are_harmless(contents.raw, group.alias))
    if is_raw or (contents.windows and tables.sharded):
        raise refused(query, "holds raw SQL or a window")
    inner_shards = resolve(query.where, tables.by_alias)
    for inner in contents.nested:
        check_nested(inner, outer | tables.by_alias, shards, group)
    if not tables.sharded or inner_shards == frozenset():
        return
    if shards is not None and len(shards) <= 1 and inner_shards is not None and inner_shards <= shards:
        return
    if _is_correlated(query, tables.by_alias, outer) or _is_member_of_colocated(nested, tables.by_alias, outer):
        return
    raise refused(query, "may need rows of other shards than the outer query's row is on")


def reads_sharded(query: Query, database: str) -> bool:
    """Whether the query, or one inside it at any depth, reads rows that are spread over shards."""
    if query.combinator:
        return any(reads_sharded(part, database) for part in query.combined_queries)
    inner = (nested.query for nested in contents_of(query).nested)
    return Tables(query, database).sharded or any(reads_sharded(nested, database) for nested in inner)


def _tables_here(query: Query, group: Group) -> Tables:
    try:
        tables = Tables(query, group.alias)
        check_joins_of_compiling(query, group.alias, connections[group.config.shards[0].primary])
    except QueryNotSupported as error:
        raise refused(query, f"joins or reads tables that are not all on each shard of {group.alias!r}") from error
    return tables


def refused(query: Query, why: str) -> QueryNotSupported:
    """The error that says why a subquery is refused, and what to do instead."""
    return QueryNotSupported(f"The subquery on {query.get_meta().label} {why}. {CURE}", reason="subquery")


def _is_correlated(query: Query, inner: dict[str, Placement], outer: dict[str, Placement]) -> bool:
    """Whether the condition ties the inner rows to the outer row's shard."""
    equal = filter(is_equality, conjuncts(query.where))
    return any(_links(leaf.lhs, leaf.rhs, inner, outer) for leaf in equal)


def _links(left: Any, right: Any, inner: dict[str, Placement], outer: dict[str, Placement]) -> bool:
    if not (isinstance(left, Col) and isinstance(right, Col)):
        return False
    for here, there in ((left, right), (right, left)):
        if here.alias in inner and there.alias in outer and there.alias not in inner:
            left_table, right_table = inner[here.alias], outer[there.alias]
            if _are_one_row(left_table, here, right_table, there):
                return True
            return are_linked(left_table, here.target, right_table, there.target)
    return False


def _are_one_row(left: Placement, here: Col, right: Placement, there: Col) -> bool:
    """Whether equal values mean the same row: the primary key of one model, which no two shards give."""
    same = left.model is right.model and here.target == there.target
    return same and bool(here.target.primary_key) and left.sharded and not left.pk_repeats


def _is_member_of_colocated(nested: Nested, inner: dict[str, Placement], outer: dict[str, Placement]) -> bool:
    """Whether ``column IN (SELECT column ...)`` can only meet inner rows of the outer row's own shard."""
    query, user = nested.query, nested.user
    if not isinstance(user, In) or query.is_sliced or query.distinct_fields or query.group_by is not None:
        return False
    if isinstance(user.lhs, ColPairs):
        return _is_tuple_of_colocated(nested, inner, outer)
    if not isinstance(user.lhs, Col):
        return False
    selected = query.select
    if len(selected) != 1 or not isinstance(selected[0], Col) or selected[0].alias not in inner:
        return False
    # NOT IN is unknown for every row when any inner value is NULL, on whichever shard that is.
    if nested.negated and _may_be_null(selected[0], query):
        return False
    column = selected[0]
    lhs = outer.get(user.lhs.alias)
    if lhs is None:
        return False
    same = lhs.model is inner[column.alias].model and user.lhs.target == column.target
    if same and column.target.primary_key:
        # A copied row is on every shard, beside other rows on each.
        return lhs.sharded and not lhs.pk_repeats
    return are_linked(lhs, user.lhs.target, inner[column.alias], column.target)


def _is_tuple_of_colocated(nested: Nested, inner: dict[str, Placement], outer: dict[str, Placement]) -> bool:
    """Whether one pair of ``(a, b) IN (SELECT c, d ...)`` keeps both rows on one shard."""
    selected = [cols for column in nested.query.select for cols in _columns(column)]
    mine = nested.user.lhs.get_cols()
    if len(selected) != len(mine) or mine[0].alias not in outer:
        return False
    if any(column.alias not in inner or (nested.negated and _may_be_null(column, nested.query)) for column in selected):
        return False
    lhs = outer[mine[0].alias]
    return any(
        are_linked(lhs, left.target, inner[right.alias], right.target)
        for left, right in zip(mine, selected, strict=True)
    )


def _columns(expression: Any) -> list[Col]:
    if isinstance(expression, ColPairs):
        return list(expression.get_cols())
    return [expression] if isinstance(expression, Col) else []


def _may_be_null(column: Col, query: Query) -> bool:
    if query.alias_map[column.alias].join_type == "LEFT OUTER JOIN":
        return True
    if not column.target.null:
        return False
    return not any(
        getattr(leaf, "lookup_name", "") == "isnull" and leaf.lhs == column and leaf.rhs is False
        for leaf in conjuncts(query.where)
    )
