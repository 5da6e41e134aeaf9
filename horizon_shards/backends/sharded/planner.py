"""From a query to its plan; asks nothing of a database but the directory."""

from __future__ import annotations

from functools import partial

from django.db import connections
from django.db.models.sql import Query
from django.db.models.sql.subqueries import AggregateQuery

from horizon_shards import context
from horizon_shards.backends.sharded.pinned import check_pinned_write
from horizon_shards.backends.sharded.plan import Mode, Operation, Plan
from horizon_shards.backends.sharded.pushdown import check_windows
from horizon_shards.backends.sharded.rawsql import are_harmless
from horizon_shards.backends.sharded.resolve import Shards, resolve
from horizon_shards.backends.sharded.shapes import shape_of
from horizon_shards.backends.sharded.shortcut import plan_by_key, remembered
from horizon_shards.backends.sharded.subqueries import check_nested, reads_sharded
from horizon_shards.backends.sharded.tables import Tables, check_joins_of_compiling
from horizon_shards.backends.sharded.updates import check_update
from horizon_shards.backends.sharded.volatile import check_volatile
from horizon_shards.backends.sharded.walk import Contents, columns_in, contents_of
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.topology import Group

OPERATIONS: dict[str, Operation] = {"SQLUpdateCompiler": "update", "SQLDeleteCompiler": "delete"}
WHY_ALL = "the condition does not name the shard key or an id that carries its bucket"
RAW_CURE = (
    "Raw SQL (extra(), RawSQL, SELECT, OVER or COLLATE in the template of a function) cannot be planned over shards, "
    "unless it reads reference models alone: write it with expressions, or run it inside using_shard('...'), which "
    "sends it to one shard as it is."
)


def plan_query(query: Query, group: Group, operation: Operation) -> tuple[Plan, Tables | None]:
    """The plan of a SELECT, UPDATE or DELETE, with its tables (None where the caller pinned a shard)."""
    if query.model is None:
        # Q.check(), with which constraints validate an instance: values, and conditional ones look for other rows.
        for nested in contents_of(query).nested:
            check_nested(nested, {}, frozenset(_one_copy(group)), group)
        return Plan(group.alias, "", operation, "single", _one_copy(group), "the query reads no table"), None
    pinned = context.pinned_shard(group.alias)
    if pinned is not None:
        if operation != "select":
            check_pinned_write(query.model, pinned)
        return make_plan(query, group, operation, "single", (pinned,), "using_shard() pins the block"), None
    if (found := plan_by_key(query, group, operation)) is not None:
        return found
    if isinstance(query, AggregateQuery):
        plan, tables = plan_query(query.inner_query, group, operation)
        if tables is not None:
            check_joins_of_compiling(query.inner_query, group.alias, connections[group.primaries[plan.shards[0]]])
            for nested in contents_of(query).nested:
                check_nested(nested, {}, frozenset(plan.shards), group)
        _refuse_raw(contents_of(query), tables, operation)
        return plan, tables
    if query.combinator:
        return _plan_combined(query, group, operation), None
    return _plan_plain(query, group, operation)


def make_plan(query: Query, group: Group, operation: Operation, mode: Mode, shards: tuple[str, ...], why: str) -> Plan:
    """A plan for the model of ``query``."""
    return Plan(group.alias, query.get_meta().label, operation, mode, shards, why)


def _plan_plain(query: Query, group: Group, operation: Operation) -> tuple[Plan, Tables]:
    tables = Tables(query, group.alias)
    if operation == "update" and tables.base is not None:
        check_update(query, tables.base)
    shape = shape_of(query, tables, operation)
    shards = resolve(query.where, tables.by_alias) if shape is None or shape.tells else None
    make = partial(_plan_anew, query, group, operation, tables, shards)
    if shape is None:
        return make(), tables
    return remembered(group, (shards, *shape.name), group.shard_names, make), tables


def _plan_anew(query: Query, group: Group, operation: Operation, tables: Tables, shards: Shards) -> Plan:
    contents = contents_of(query)
    _refuse_raw(contents, tables, operation)
    # Without a sharded table, any one shard can answer: its copy is whole.
    where = shards if tables.sharded else frozenset(group.shard_names[:1])
    for nested in contents.nested:
        check_nested(nested, tables.by_alias, where, group)
    if operation != "select" and tables.base is not None and not tables.base.sharded:
        _refuse_partial_copies(query, group)
    if not tables.sharded:
        return _plan_copied(query, group, operation, tables, contents)
    plan = _plan_sharded(query, group, operation, shards)
    if plan.mode == "scatter":
        _refuse_repeating_ids(query, tables)
        if operation != "select":
            # Each shard would write the rows of its own windows. A SELECT says so when its order is known.
            check_windows(query, tables)
    return plan


def _refuse_raw(contents: Contents, tables: Tables | None, operation: Operation) -> None:
    """Raw SQL has the same answer on every shard only where it reads copies; a write could make them differ."""
    if not contents.raw:
        return
    if operation != "select" or tables is None or tables.sharded or not are_harmless(contents.raw, tables.database):
        raise QueryNotSupported(RAW_CURE, reason="raw-sql")


def _plan_sharded(query: Query, group: Group, operation: Operation, shards: Shards) -> Plan:
    if shards is None:
        names, why = group.shard_names, WHY_ALL
    else:
        names = group.ordered(shards)
        why = f"the condition leaves {len(names)} of {len(group.shard_names)} shards"
    if not names:
        return make_plan(query, group, operation, "none", group.shard_names[:1], "no shard can hold a matching row")
    return make_plan(query, group, operation, "single" if len(names) == 1 else "scatter", names, why)


def _refuse_repeating_ids(query: Query, tables: Tables) -> None:
    """Rows of different shards may have one automatic id: a condition on it would mean them all."""
    pks = {(alias, p.model._meta.pk) for alias, p in tables.by_alias.items() if p.pk_repeats}
    if pks and any((column.alias, column.target) in pks for column in columns_in(query.where)):
        raise QueryNotSupported(
            f"{query.get_meta().label} is numbered by each shard for itself, so its id does not tell one row over "
            "several shards. Give the many-to-many relation an explicit through model with a ShardedIdField and the "
            "shard key.",
            reason="auto-id",
        )


def _refuse_partial_copies(query: Query, group: Group) -> None:
    """A reference model's rows must change alike on every shard, which rows of one shard cannot decide."""
    if reads_sharded(query, group.alias):
        raise QueryNotSupported(
            f"Updating or deleting rows of the reference model {query.get_meta().label} by a condition on sharded rows "
            "would make its copies differ. Fetch the primary keys first and filter by pk__in=[...].",
            reason="reference-write",
        )


def _plan_copied(query: Query, group: Group, operation: Operation, tables: Tables, contents: Contents) -> Plan:
    """Reference models, and tables that every shard has of its own: read one copy, write all."""
    if operation != "select":
        check_volatile(query, contents)
        return make_plan(query, group, operation, "all", group.shard_names, "a reference model is written everywhere")
    if reads_sharded(query, group.alias):
        raise QueryNotSupported(
            f"The subquery on a sharded model inside a query on the reference model {query.get_meta().label} would "
            "see the rows of one shard only. Fetch the inner values first and pass them as a list.",
            reason="subquery",
        )
    return make_plan(query, group, operation, "single", _one_copy(group), "a reference model is read from one shard")


def _one_copy(group: Group) -> tuple[str, ...]:
    return group.shard_names[:1]


def _plan_combined(query: Query, group: Group, operation: Operation) -> Plan:
    """A union, intersection or difference: run by one shard that has all its parts, else put together of its parts."""
    plans = [(part, plan_query(part, group, operation)[0]) for part in query.combined_queries]
    spread = [plan for part, plan in plans if plan.mode != "none" and reads_sharded(part, group.alias)]
    asked = {shard for plan in spread for shard in plan.shards}
    shards = group.ordered(asked) or _one_copy(group)
    if len(shards) > 1:
        return make_plan(query, group, operation, "scatter", shards, f"the parts are on {len(shards)} shards")
    for part in query.combined_queries:
        check_joins_of_compiling(part, group.alias, connections[group.config.shards[0].primary])
    return make_plan(query, group, operation, "single", shards, "all parts are on one shard")


def operation_of(compiler_name: str) -> Operation:
    """The operation that Django's compiler of this name carries out."""
    return OPERATIONS.get(compiler_name, "select")
