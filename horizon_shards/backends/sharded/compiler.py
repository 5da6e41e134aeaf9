"""The hook of the backend: which of Django's compilers runs a query, on which shard, or on several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models.sql import Query
from django.db.models.sql.query import RawQuery
from django.db.models.sql.subqueries import AggregateQuery

from horizon_shards import context
from horizon_shards.backends.sharded import inserts, writes
from horizon_shards.backends.sharded.aggregates import ScatterAggregate, ScatterCount
from horizon_shards.backends.sharded.combined import ScatterCombined
from horizon_shards.backends.sharded.elsewhere import steps_of
from horizon_shards.backends.sharded.federation.select import federated
from horizon_shards.backends.sharded.federation.writes import KeysFirst, keys_first, keys_of
from horizon_shards.backends.sharded.groups import ScatterGroups
from horizon_shards.backends.sharded.joining import joined_compiler, ordered_elsewhere
from horizon_shards.backends.sharded.partial import refuse_partial_write
from horizon_shards.backends.sharded.planner import operation_of, plan_query
from horizon_shards.backends.sharded.pushdown import groups_are_whole
from horizon_shards.backends.sharded.rewrite import without_names
from horizon_shards.backends.sharded.rows import AggregateOverRows
from horizon_shards.backends.sharded.scatter import ScatterSelect
from horizon_shards.backends.sharded.shortcut import adds_no_joins, shortest_plan
from horizon_shards.backends.sharded.single import BareRead, SingleShard, build, mixed
from horizon_shards.backends.sharded.stepped import SteppedCompiler
from horizon_shards.exceptions import QueryNotSupported

WRITES = {"SQLInsertCompiler", "SQLUpdateCompiler", "SQLDeleteCompiler"}


def route(name: str, query: Query, connection: Any, using: str | None, elide_empty: bool = True) -> Any:
    """The compiler for ``query`` on the logical connection: Django's own, mixed with what its plan needs."""
    if name == "SQLCompiler" and type(query) is Query and (bare := _bare_read(query, connection, elide_empty)):
        return bare
    if name in WRITES:
        refuse_partial_write(connection.group)
    if name == "SQLInsertCompiler":
        return inserts.InsertRouter(query, connection, elide_empty)
    if isinstance(query, RawQuery):
        # Manager.raw() asks its compiler for converters alone; the cursor says where the SQL goes.
        return connection.lead.ops.compiler(name)(query, connection.lead, connection.lead.alias, elide_empty)
    query = without_names(query, connection.alias)
    try:
        return _planned(name, query, connection, using, elide_empty)
    except QueryNotSupported as refusal:
        return Again(name, connection, using, elide_empty).instead(refusal, query)


def _bare_read(query: Query, connection: Any, elide_empty: bool) -> Any:
    """The compiler of the commonest query, or None: no step, no join, no transaction has to be looked for."""
    if not (connection.is_outside_transaction and adds_no_joins(query)):
        return None
    group = connection.group
    if context.pinned_shard(group.alias) is not None or (plan := shortest_plan(query, group, "select")) is None:
        return None
    lead = connection.compiling_connection(group.primaries[plan.shards[0]])
    compiler = mixed(BareRead, lead.ops.compiler("SQLCompiler"))(query, lead, lead.alias, elide_empty)
    compiler.logical, compiler.group, compiler.plan = connection, group, plan
    return compiler


def _planned(name: str, query: Query, connection: Any, using: str | None, elide_empty: bool) -> Any:
    operation = operation_of(name)
    again = Again(name, connection, using, elide_empty)
    if operation == "select" and (stepped := ordered_elsewhere(query, connection, again)) is not None:
        return stepped
    try:
        plan, tables = plan_query(query, connection.group, operation)
    except QueryNotSupported as refusal:
        if (stepped := joined_compiler(query, connection, operation, again, refusal)) is not None:
            return stepped
        if not (steps := steps_of(query, connection.group)):
            raise
        return SteppedCompiler(query, connection, steps, again)
    if plan.mode in ("single", "none"):
        return build(SingleShard, name, query, connection, plan, tables, elide_empty)
    if operation != "select":
        return build(writes.ScatterWrite, name, query, connection, plan, tables, elide_empty)
    return build(_merging(query, tables), name, query, connection, plan, tables, elide_empty)


@dataclass(frozen=True)
class Again:
    """How what the steps leave of a query gets its compiler: as the query did."""

    name: str
    connection: Any
    using: str | None
    elide_empty: bool

    def __call__(self, query: Query) -> Any:
        """The compiler that the planner chooses."""
        return route(self.name, query, self.connection, self.using, self.elide_empty)

    def instead(self, refusal: Exception, query: Query) -> Any:
        """The compiler that federates; raises ``refusal`` where that is off or no help."""
        how = federated if operation_of(self.name) == "select" else keys_first
        return how(refusal, query, self.connection, self.elide_empty)

    def by_keys(self, query: Query) -> Any:
        """The compiler of an UPDATE that asks for the keys of its rows first."""
        keys = route("SQLCompiler", keys_of(query), self.connection, self.using, self.elide_empty)
        return KeysFirst(query, self.connection, keys)


def _merging(query: Query, tables: Any) -> type:
    """Which mixin merges the rows of this query."""
    if isinstance(query, AggregateQuery):
        kinds = (ScatterCount, AggregateOverRows)
        return next((kind for kind in kinds if kind.fits(query, tables)), ScatterAggregate)
    if query.combinator:
        return ScatterCombined
    if query.group_by is None and any(a.contains_aggregate for a in query.annotation_select.values()):
        return ScatterAggregate
    return ScatterSelect if groups_are_whole(query, tables) else ScatterGroups
