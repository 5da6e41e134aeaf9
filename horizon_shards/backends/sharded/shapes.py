"""The plan of queries that ask all shards, made once a shape: plain columns, aggregates of them, plain conditions.

Everything else is looked at each time: only what is listed here is known not to change the plan.
"""

from __future__ import annotations

from typing import Any, cast

from django.db.models import Avg, Count, Max, Min, Sum
from django.db.models.expressions import Col, Star
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from horizon_shards.backends.sharded.plan import Operation, Plan
from horizon_shards.backends.sharded.shortcut import is_of_columns, remember, sets_values
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.backends.sharded.updates import check_update
from horizon_shards.placement import Placement
from horizon_shards.topology import Group

WHY_ALL = "the condition does not name the shard key or an id that carries its bucket"

AGGREGATES = {Count, Sum, Avg, Min, Max}


def plan_of_shape(query: Query, tables: Tables, group: Group, operation: Operation) -> Plan | None:
    """The plan over all shards, or None where the query is not plain or may name its shards."""
    base = tables.base
    if base is None or not base.sharded or not _is_plain(query) or not _says_nothing(query.where, tables.by_alias):
        return None
    if operation == "update":
        if not sets_values(query):
            return None
        check_update(query, base)
    return _known_plan(base, group, operation, query.get_meta().label)


def _known_plan(base: Placement, group: Group, operation: Operation, label: str) -> Plan:
    name = (base.model, label, operation)
    shards = group.shard_names
    known, plan = group.plans.get(name, (None, None))
    if known is not shards:
        plan = Plan(group.alias, label, operation, "single" if len(shards) == 1 else "scatter", shards, WHY_ALL)
        remember(group, name, shards, plan)
    return cast(Plan, plan)


def _is_plain(query: Any) -> bool:
    """Whether nothing but columns, and aggregates of columns, can be in the query beside its condition."""
    return (
        is_of_columns(query)
        and all(map(_is_plain_aggregate, query.annotations.values()))
        and (query.group_by in (None, True) or all(type(column) is Col for column in query.group_by))
    )


def _is_plain_aggregate(annotation: Any) -> bool:
    return (
        type(annotation) in AGGREGATES
        and annotation.filter is None
        and all(type(source) in (Col, Star) for source in annotation.source_expressions)
    )


def _says_nothing(node: Any, tables: dict[str, Placement]) -> bool:
    """Whether a condition compares with values, and only columns that tell nothing of the shard."""
    if type(node) is WhereNode:
        return all(_says_nothing(child, tables) for child in node.children)
    lhs, rhs = getattr(node, "lhs", None), getattr(node, "rhs", None)
    if type(lhs) is not Col or any(hasattr(value, "as_sql") for value in _values(rhs)):
        return False
    placement = tables.get(lhs.alias)
    return placement is None or lhs.target.column not in placement.telling_columns


def _values(rhs: Any) -> Any:
    return rhs if isinstance(rhs, (list, tuple)) else (rhs,)
