"""The plan of the commonest queries, without a walk: one table, plain conditions, one of them names its shard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from django.db.models import Count
from django.db.models.expressions import Col, Star
from django.db.models.sql import Query
from django.db.models.sql.where import AND

from horizon_shards.backends.sharded.plan import Operation, Plan
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.backends.sharded.updates import check_update
from horizon_shards.backends.sharded.walk import is_equality
from horizon_shards.declarations import declaration_of
from horizon_shards.placement import Placement, placement_of
from horizon_shards.topology import Group

P = TypeVar("P", bound="Plan | None")

WHY_KEY = "the condition names the shard key"
WHY_ID = "the condition names an id that carries its bucket"

#: Plans remembered a group, before all are forgotten.
MAX_PLANS = 10_000


def plan_by_key(query: Query, group: Group, operation: Operation) -> tuple[Plan, Tables | None] | None:
    """The single-shard plan, or None where the query needs the full planner."""
    plan = shortest_plan(query, group, operation)
    if plan is None:
        return None
    return plan, None if adds_no_joins(query) else Tables(query, group.alias)


def shortest_plan(query: Query, group: Group, operation: Operation) -> Plan | None:
    """The plan of :func:`plan_by_key` alone: enough where :func:`adds_no_joins` holds."""
    # Nothing but columns of one table, and a count of its rows.
    is_plain = (
        query.group_by is None
        and (len(query.alias_map) == 1 or _has_one_table(query))
        and (not query.annotations or all(map(_counts_rows, query.annotations.values())))
        and (operation != "update" or _sets_values(query))
        and _is_of_columns(query)
    )
    if not is_plain:
        return None
    model: Any = query.model
    placement = group.placements.get(model)
    if placement is None or placement.declaration is not declaration_of(model):
        placement = placement_of(model)
    if placement is None or placement.group is not group or len(placement.key) != 1:
        return None
    if (named := _named(query.where, placement)) is None:
        return None
    is_bucket, value = named
    # Equal values of different types (1, True) are not the same key.
    name = (placement.model, operation, is_bucket, type(value), value)
    try:
        hash(value)
    except TypeError:
        return None
    make = partial(_make, placement, operation, is_bucket, value)
    plan = remembered(group, name, group.mapping.stamp(), make)
    if plan is not None and operation == "update":
        check_update(query, placement)
    return plan


def adds_no_joins(query: Any) -> bool:
    """Whether compiling cannot join a table, so that none has to be looked at."""
    if query.model is None or query.order_by or query.select_related or query.distinct_fields:
        return False
    return not (query.default_ordering and query.model._meta.ordering)


def remembered(group: Group, name: Any, stamp: object, make: Callable[[], P]) -> P:
    """The plan of this name, made now unless it was made under the same stamp; with None as a stamp, each time."""
    known, plan = group.plans.get(name, (None, None))
    if stamp is None or known is not stamp:
        plan = make()
        if len(group.plans) >= MAX_PLANS:
            group.plans.clear()
        group.plans[name] = (stamp, plan)
    return cast(P, plan)


def _make(placement: Placement, operation: Operation, is_bucket: bool, value: Any) -> Plan | None:
    shards = placement.shards_of_buckets((value,)) if is_bucket else _shards_of_key(placement, value)
    if len(shards) != 1:
        return None
    why = WHY_ID if is_bucket else WHY_KEY
    return Plan(placement.database, placement.model._meta.label, operation, "single", tuple(shards), why)


def _shards_of_key(placement: Placement, value: Any) -> frozenset[str]:
    key = placement.convert((value,)) if placement.key_is_exact else None
    return frozenset() if key is None else placement.shards_of_keys((key,))


def _is_of_columns(query: Any) -> bool:
    """Whether nothing but columns can be in the query, its conditions, annotations and groups aside."""
    return (
        has_no_extras(query)
        and (not query.order_by or all(type(term) is str for term in query.order_by))
        and (not query.select or all(type(column) is Col for column in query.select))
    )


def has_no_extras(query: Any) -> bool:
    """Whether the query is no set operation, and has neither ``extra()`` nor a ``FilteredRelation``."""
    return (
        not query.extra
        and not query.extra_tables
        and not query.extra_order_by
        and not query._filtered_relations
        and query.combinator is None
    )


def _has_one_table(query: Any) -> bool:
    """Whether only the model's own table is left, beside trimmed joins to which nothing refers any more."""
    used = [alias for alias, count in query.alias_refcount.items() if count]
    return len(used) == 1 and query.alias_map[used[0]].table_name == query.get_meta().db_table


def _counts_rows(annotation: Any) -> bool:
    """Whether it is what ``QuerySet.count()`` asks for."""
    return type(annotation) is Count and type(annotation.source_expressions[0]) is Star and annotation.filter is None


def _sets_values(query: Any) -> bool:
    """Whether an UPDATE sets nothing but values."""
    return not query.related_updates and not any(hasattr(value, "resolve_expression") for _, _, value in query.values)


def _named(where: Any, placement: Placement) -> tuple[bool, Any] | None:
    """The value that the key must have, or (True, the bucket) of a row's id; None where anything is not plain."""
    if where.negated or where.connector != AND:
        return None
    found: tuple[bool, Any] | None = None
    for leaf in where.children:
        lhs, rhs = getattr(leaf, "lhs", None), getattr(leaf, "rhs", None)
        if type(lhs) is not Col or isinstance(rhs, (list, tuple)) or hasattr(rhs, "as_sql"):
            return None
        if found or rhs is None or not is_equality(leaf):
            continue
        column: Any = lhs.target.column
        if column == placement.key_columns[0]:
            found = False, rhs
        elif (field := placement.bucket_columns.get(column)) and (bucket := field.bucket_of(rhs)) is not None:
            found = True, bucket
    return found
