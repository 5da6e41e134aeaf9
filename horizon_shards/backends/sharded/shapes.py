"""The plan of queries that ask all shards, made once a shape: columns, expressions and aggregates of them, conditions.

Everything else is looked at each time: only what is listed here is known not to change the plan.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any, cast

from django.db.models import aggregates, expressions, functions
from django.db.models.expressions import Col
from django.db.models.fields import json
from django.db.models.lookups import Lookup
from django.db.models.sql import Query
from django.db.models.sql.where import WhereNode

from horizon_shards.backends.sharded.plan import Operation, Plan
from horizon_shards.backends.sharded.shortcut import has_no_extras, remember
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.backends.sharded.updates import check_update
from horizon_shards.backends.sharded.walk import VOLATILE, below
from horizon_shards.placement import Placement
from horizon_shards.topology import Group

WHY_ALL = "the condition does not name the shard key or an id that carries its bucket"

#: Names of Django's expressions whose value the columns below them decide.
EXPRESSIONS = (
    "F Star Value Ref OrderBy OrderByList ExpressionList CombinedExpression DurationExpression TemporalSubtraction "
    "ExpressionWrapper NegatedExpression Case When"
)
#: And of its aggregates; some are of later Djangos.
AGGREGATES = "Count Sum Avg Min Max StdDev Variance AnyValue BitAnd BitOr BitXor StringAgg"
PARTS = "StringAggDelimiter AggregateFilter AggregateOrderBy"


def _classes(module: Any, names: Iterable[str]) -> set[type]:
    return {vars(module)[name] for name in names if name in vars(module)}


SUMMARIES = _classes(aggregates, AGGREGATES.split())
KNOWN = (
    {WhereNode, json.KeyTransform, json.KeyTextTransform}
    | _classes(expressions, EXPRESSIONS.split())
    | _classes(aggregates, PARTS.split())
    | _classes(functions, set(functions.__all__) - VOLATILE)
    | SUMMARIES
)


def plan_of_shape(query: Query, tables: Tables, group: Group, operation: Operation) -> Plan | None:
    """The plan over all shards, or None where the query is not plain or may name its shards."""
    base = tables.base
    if base is None or not base.sharded or not _says_nothing(query.where, tables.by_alias) or not _is_plain(query):
        return None
    if operation == "update":
        if not _sets_plainly(query):
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
    """Whether nothing but what is known can be in the query beside its condition."""
    groups = query.group_by if isinstance(query.group_by, tuple) else ()
    terms = chain(query.select, query.annotations.values(), groups, query.order_by)
    return has_no_extras(query) and all(type(term) in (Col, str) or _says_nothing(term, {}) for term in terms)


def _sets_plainly(query: Any) -> bool:
    """Whether an UPDATE sets values, and expressions that are known."""
    values = [value for _, _, value in query.values if hasattr(value, "resolve_expression")]
    return not query.related_updates and all(_says_nothing(value, {}) for value in values)


def _says_nothing(node: Any, tables: dict[str, Placement]) -> bool:
    """Whether all of it is known, and it names only columns that tell nothing of the shard."""
    kind = type(node)
    if kind is Col:
        placement = tables.get(node.alias)
        return placement is None or node.target.column not in placement.telling_columns
    if kind not in KNOWN and not isinstance(node, Lookup):
        return False
    if kind in SUMMARIES:  # of many rows: then only ids that mean several rows matter
        tables = {alias: placement for alias, placement in tables.items() if placement.pk_repeats}
    for one in node.children if kind is WhereNode else below(node):  # noqa: SIM110
        if not _says_nothing(one, tables):
            return False
    return True
