"""Which parts of a query have to be asked elsewhere first, so that the rest can be planned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import connections
from django.db.models.expressions import Col, Exists, Expression, OuterRef, ResolvedOuterRef, Subquery
from django.db.models.lookups import IExact, In, Lookup
from django.db.models.sql import Query
from django.db.models.sql.subqueries import AggregateQuery
from django.db.models.sql.where import WhereNode

from horizon_shards.backends.sharded.exact import lost_as_value, lost_in_list
from horizon_shards.backends.sharded.kinds import family_of
from horizon_shards.backends.sharded.resolve import Shards, resolve
from horizon_shards.backends.sharded.rewrite import replaced_query, selecting
from horizon_shards.backends.sharded.selected import can_be_listed, is_scalar, selected_column
from horizon_shards.backends.sharded.steps import ExistsStep, MatchStep, MembersStep, Step, ValueStep
from horizon_shards.backends.sharded.subqueries import check_nested, reads_sharded, refused
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.backends.sharded.walk import Nested, below, conjuncts, contents_of, is_equality
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.placement import Placement
from horizon_shards.topology import Group

Placements = dict[str, Placement]


def steps_of(query: Any, group: Group) -> list[Step]:
    """What has to run before ``query`` can be planned; empty where nothing would help.

    Raises ``QueryNotSupported`` where a part can neither run on each shard nor first.
    """
    if isinstance(query, AggregateQuery):
        everywhere = frozenset(group.shard_names)
        own = [_steps_of_nested(nested, {}, everywhere, group) for nested in contents_of(query).nested]
        return [*steps_of(query.inner_query, group), *(step for steps in own for step in steps)]
    if query.combinator:
        return [step for part in query.combined_queries for step in steps_of(part, group)]
    tables = {} if query.model is None else Tables(query, group.alias).by_alias
    is_sharded = any(placement.sharded for placement in tables.values())
    shards = resolve(query.where, tables) if is_sharded else frozenset(group.shard_names[:1])
    return [step for nested in contents_of(query).nested for step in _steps_of_nested(nested, tables, shards, group)]


def _steps_of_nested(nested: Nested, outer: Placements, shards: Shards, group: Group) -> list[Step]:
    try:
        _check(nested, outer, shards, group)
    except QueryNotSupported as refusal:
        deeper = _deeper_steps(nested, outer, shards, group)
        if deeper:
            return deeper
        step = _step_of(nested, group)
        if step is None:
            raise refusal
        return [step]
    return []


def _check(nested: Nested, outer: Placements, shards: Shards, group: Group) -> None:
    check_nested(nested, outer, shards, group)
    if not any(placement.sharded for placement in outer.values()) and reads_sharded(nested.query, group.alias):
        raise QueryNotSupported(
            f"The subquery on {nested.query.get_meta().label} would see the rows of one shard only.", reason="subquery"
        )


def _deeper_steps(nested: Nested, outer: Placements, shards: Shards, group: Group) -> list[Step]:
    """Steps inside the nested query, after which it can run on each shard; empty where there are none."""
    query = nested.query
    try:
        inner = outer | Tables(query, group.alias).by_alias
        steps = [step for one in contents_of(query).nested for step in _steps_of_nested(one, inner, shards, group)]
        if steps:
            _check(Nested(with_pending(query, steps), nested.user, nested.negated), outer, shards, group)
    except QueryNotSupported:
        return []
    return steps


def with_pending(query: Any, steps: list[Step]) -> Any:
    """The query as it will be, without the answers."""
    return replaced_query(query, {id(step.replaces): step.pending() for step in steps})


def _step_of(nested: Nested, group: Group) -> Step | None:
    """The step that answers a nested query, or None where only the database of the outer one could."""
    query, user = nested.query, nested.user
    if isinstance(user, Exists):
        return _match_of(query, user) if refers_outside(query) else ExistsStep(query, user)
    if refers_outside(query):
        return None
    if isinstance(user, In) and user.rhs is query:
        selected = selected_column(query)
        plain = user.lookup_name == "in" and not user.bilateral_transforms and selected is not None
        if not plain or not can_be_listed(user.lhs, selected):
            return None
        _refuse(query, lost_in_list(query))
        return MembersStep(query, user)
    if not is_scalar(query, user) or _is_converted_otherwise(nested, group):
        return None
    _refuse(query, lost_as_value(nested))
    if not isinstance(user, Subquery):
        return ValueStep(query, query)
    # Django 5.2 keeps what later versions unwrap.
    return ValueStep(query, user) if type(user) is Subquery and user.template == Subquery.template else None


def _refuse(query: Any, lost: str | None) -> None:
    """Raise where something of the values would be lost in literals."""
    if lost is not None:
        raise refused(query, lost)


def _is_converted_otherwise(nested: Nested, group: Group) -> bool:
    """Whether the one value of a query is compared with what a database converts otherwise for it than for a literal.

    SQLite compares values of any types, and converts what columns hold but not literals. MySQL raises for a literal
    that is no time, or no JSON, where one is compared. To both, ``iexact`` is LIKE, and a value a pattern.
    """
    user, lookup = nested.user, nested.holder
    if isinstance(user, Lookup):  # later versions unwrap a Subquery on its right
        user, lookup = nested.query, user
    if not isinstance(lookup, Lookup):
        return False
    other = lookup.rhs if lookup.lhs is user else lookup.lhs
    vendor = connections[group.config.shards[0].primary].vendor
    if isinstance(lookup, IExact) and other is lookup.lhs:
        return vendor != "postgresql"
    if not hasattr(other, "resolve_expression") or family_of(other) == family_of(user):
        return False
    return vendor == "sqlite" or (vendor == "mysql" and family_of(other) in ("time", "JSONField"))


def _match_of(query: Any, exists: Exists) -> Step | None:
    """EXISTS that one equality ties to the outer row, as a query for the values of its inner side."""
    plain = not query.combinator and not query.distinct and query.group_by is None and query.low_mark == 0
    ties = [tie for leaf in conjuncts(query.where) if (tie := _tie(leaf, query))] if plain else []
    if len(ties) != 1 or query.high_mark not in (None, 1):
        return None
    leaf, inner, outer = ties[0]
    free = selecting(replaced_query(query, {id(leaf): WhereNode()}), inner)
    free.clear_limits()
    free.clear_ordering(force=True)
    if refers_outside(free) or not can_be_listed(outer, inner):
        return None
    return MatchStep(free, exists, outer)


def _tie(leaf: Any, query: Query) -> tuple[Any, Col, Col] | None:
    """``(leaf, inner column, outer column)`` of an equality between a row and the outer one."""
    if not is_equality(leaf):
        return None
    sides = leaf.lhs, leaf.rhs
    if not all(isinstance(side, Col) for side in sides):
        return None
    inner = [side for side in sides if side.alias in query.alias_map]
    outer = [side for side in sides if side.alias not in query.alias_map]
    return (leaf, inner[0], outer[0]) if len(inner) == len(outer) == 1 else None


def refers_outside(node: Any, scope: frozenset[str] = frozenset()) -> bool:
    """Whether an expression names a column of no alias in ``scope`` and of no query inside it."""
    if isinstance(node, Query):
        inside = scope | node.alias_map.keys()
        return any(refers_outside(part, inside) for part in _parts(node))
    if isinstance(node, Col):
        return node.alias not in scope
    if isinstance(node, OuterRef | ResolvedOuterRef):
        return True
    return any(refers_outside(source, scope) for source in below(node))


def _parts(query: Any) -> Iterator[Any]:
    yield from (query.where, *query.annotations.values(), *query.select, *query.combined_queries)
    yield from (term for term in query.order_by if isinstance(term, Expression))
    if isinstance(query.group_by, tuple):
        yield from query.group_by
    for relation in query._filtered_relations.values():
        if relation.resolved_condition is not None:
            yield relation.resolved_condition
