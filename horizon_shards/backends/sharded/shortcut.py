"""The plan of the commonest query, without a walk: one table, plain conditions, one of them ``key = value``."""

from __future__ import annotations

from typing import Any, cast

from django.db.models.expressions import Col
from django.db.models.lookups import Exact
from django.db.models.sql import Query
from django.db.models.sql.where import AND

from horizon_shards.backends.sharded.plan import Operation, Plan
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.declarations import declaration_of
from horizon_shards.placement import Placement, placement_of
from horizon_shards.topology import Group

WHY = "the condition names the shard key"


#: Plans remembered a group, before all are forgotten.
MAX_PLANS = 10_000


def plan_by_key(query: Query, group: Group, operation: Operation) -> tuple[Plan, Tables | None] | None:
    """The single-shard plan, or None where the query needs the full planner."""
    if not _is_plain(query):
        return None
    model: Any = query.model
    placement = group.placements.get(model)
    if placement is None or placement.declaration is not declaration_of(model):
        placement = placement_of(model)
    if placement is None or placement.group is not group or len(placement.key) != 1:
        return None
    value = _named_value(query.where, placement)
    if value is None:
        return None
    plan = _remembered(placement, operation, value)
    if plan is None:
        return None
    return plan, None if adds_no_joins(query) else Tables(query, group.alias, base=placement)


def adds_no_joins(query: Any) -> bool:
    """Whether compiling cannot join a table, so that none has to be looked at."""
    if query.model is None or query.order_by or query.select_related:
        return False
    return not (query.default_ordering and query.model._meta.ordering)


def _remembered(placement: Placement, operation: Operation, value: Any) -> Plan | None:
    """The plan for a key's value, made once for as long as the mapping's answer holds."""
    group = placement.group
    # Equal values of different types (1, True) are not the same key.
    name = (placement.model, operation, type(value), value)
    stamp = group.mapping.stamp()
    try:
        known, plan = group.plans.get(name, (None, None))
    except TypeError:  # an unhashable value
        return None
    if stamp is None or known is not stamp:
        plan = _make(placement, operation, value)
        if len(group.plans) >= MAX_PLANS:
            group.plans.clear()
        group.plans[name] = (stamp, plan)
    return cast("Plan | None", plan)


def _make(placement: Placement, operation: Operation, value: Any) -> Plan | None:
    key = placement.convert((value,)) if placement.key_is_exact else None
    shards = () if key is None else tuple(placement.shards_of_keys((key,)))
    if len(shards) != 1:
        return None
    return Plan(placement.database, placement.model._meta.label, operation, "single", shards, WHY)


def _is_plain(query: Any) -> bool:
    """Whether nothing but columns of one table can be in the query."""
    return (
        # Aliases that nothing refers to any more are trimmed joins.
        list(query.alias_refcount.values()).count(0) == len(query.alias_map) - 1
        and not query.annotations
        and not query.extra
        and not query.extra_tables
        and not query._filtered_relations
        and query.group_by is None
        and query.combinator is None
        and (not query.order_by or all(type(term) is str for term in query.order_by))
        and not query.extra_order_by
        and (not query.select or all(type(column) is Col for column in query.select))
    )


def _named_value(where: Any, placement: Placement) -> Any:
    """The value that the key must have; None where there is none, or anything that is not plain."""
    if where.negated or where.connector != AND:
        return None
    found = None
    column = placement.key_columns[0]
    for leaf in where.children:
        lhs, rhs = getattr(leaf, "lhs", None), getattr(leaf, "rhs", None)
        if type(lhs) is not Col or isinstance(rhs, list | tuple) or hasattr(rhs, "as_sql"):
            return None
        if found is None and lhs.target.column == column and isinstance(leaf, Exact) and leaf.lookup_name == "exact":
            found = None if leaf.bilateral_transforms else rhs
    return found
