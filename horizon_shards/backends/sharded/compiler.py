"""The hook of the backend: which of Django's compilers runs a query, on which shard, or on several."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from django.db import Error
from django.db.models.sql import Query
from django.db.models.sql.query import RawQuery
from django.db.models.sql.subqueries import AggregateQuery

from horizon_shards.backends.sharded import inserts, writes
from horizon_shards.backends.sharded.aggregates import ScatterAggregate, ScatterCount
from horizon_shards.backends.sharded.combined import ScatterCombined
from horizon_shards.backends.sharded.elsewhere import steps_of
from horizon_shards.backends.sharded.execute import name_shard
from horizon_shards.backends.sharded.federation.refusals import limit_of
from horizon_shards.backends.sharded.federation.select import OrFederated, federated
from horizon_shards.backends.sharded.federation.writes import keys_first
from horizon_shards.backends.sharded.foreign import ForeignRelations
from horizon_shards.backends.sharded.gather import statement_of
from horizon_shards.backends.sharded.groups import ScatterGroups
from horizon_shards.backends.sharded.joined import joined_compiler, ordered_elsewhere
from horizon_shards.backends.sharded.partial import Partial, may_be_partial, refuse_partial_write
from horizon_shards.backends.sharded.plan import Plan
from horizon_shards.backends.sharded.planner import operation_of, plan_query
from horizon_shards.backends.sharded.pushdown import groups_are_whole
from horizon_shards.backends.sharded.rows import AggregateOverRows
from horizon_shards.backends.sharded.scatter import ScatterSelect
from horizon_shards.backends.sharded.shortcut import adds_no_joins
from horizon_shards.backends.sharded.stepped import SteppedCompiler
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.exceptions import QueryNotSupported
from horizon_shards.signals import query_planned

WRITES = {"SQLInsertCompiler", "SQLUpdateCompiler", "SQLDeleteCompiler"}


def route(name: str, query: Query, connection: Any, using: str | None, elide_empty: bool = True) -> Any:
    """The compiler for ``query`` on the logical connection: Django's own, mixed with what its plan needs."""
    if name in WRITES:
        refuse_partial_write(connection.group)
    if name == "SQLInsertCompiler":
        return inserts.InsertRouter(query, connection, elide_empty)
    if isinstance(query, RawQuery):
        # Manager.raw() asks its compiler for converters alone; the cursor says where the SQL goes.
        return connection.lead.ops.compiler(name)(query, connection.lead, connection.lead.alias, elide_empty)
    try:
        return _planned(name, query, connection, using, elide_empty)
    except QueryNotSupported as refusal:
        instead = federated if operation_of(name) == "select" else keys_first
        return instead(refusal, query, connection, elide_empty)


def _planned(name: str, query: Query, connection: Any, using: str | None, elide_empty: bool) -> Any:
    operation = operation_of(name)
    again = partial(_again, name, connection, using, elide_empty)
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
        mixin = BareRead if tables is None and BareRead.fits(name, query, connection) else SingleShard
        return build(mixin, name, query, connection, plan, tables, elide_empty)
    if operation != "select":
        return build(writes.ScatterWrite, name, query, connection, plan, tables, elide_empty)
    return build(_merging(query, tables), name, query, connection, plan, tables, elide_empty)


def _again(name: str, connection: Any, using: str | None, elide_empty: bool, left: Query) -> Any:
    """The compiler for what the steps leave of a query."""
    return route(name, left, connection, using, elide_empty)


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


def build(
    mixin: type, name: str, query: Query, connection: Any, plan: Plan, tables: Tables | None, elide_empty: bool
) -> Any:
    """An instance of the shard's own compiler class with ``mixin`` before it."""
    if plan.operation == "select" and mixin is not BareRead and limit_of(connection.group):
        mixin = mixed(OrFederated, mixin)
    if plan.operation == "select" and may_be_partial(mixin, plan, connection.group):
        mixin = mixed(Partial, mixin)
    lead = connection.compiling_connection(plan.shards[0])
    compiler = mixed(mixin, lead.ops.compiler(name))(query, lead, lead.alias, elide_empty)
    compiler.logical, compiler.plan, compiler.tables = connection, plan, tables
    return compiler


@lru_cache(maxsize=64)
def mixed(mixin: type, base: type) -> type:
    """``mixin`` over the compiler class of a physical backend."""
    return type(f"{mixin.__name__}{base.__name__}", (mixin, base), {"__module__": base.__module__})


class OneShard:
    """What the compilers share that one shard answers."""

    logical: Any
    plan: Plan
    connection: Any
    query: Any

    def explain_query(self) -> Any:
        """The plan, then the shard's own explanation."""
        yield from str(replace(self.plan, statements=(statement_of(self),))).splitlines()
        yield from super().explain_query()  # type: ignore[misc]


class BareRead(OneShard):
    """The commonest query, which nothing has to be added to: one table, outside of a transaction."""

    @staticmethod
    def fits(name: str, query: Any, connection: Any) -> bool:
        """Whether compiling can add no table, and running has no transaction to enter."""
        return name == "SQLCompiler" and connection.is_outside_transaction and adds_no_joins(query)

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Run on the shard; a database error names it."""
        shard = self.plan.shards[0]
        if query_planned.receivers:
            query_planned.send(sender=self.query.model, plan=self.plan)
        self.logical.enter_compiled(shard, self.connection)
        try:
            return super().execute_sql(*args, **kwargs)  # type: ignore[misc]
        except Error as error:
            name_shard(error, self.logical.group, shard, self.connection.alias)
            raise


class SingleShard(ForeignRelations, OneShard):
    """Runs Django's compiler on one shard and hands its cursor on: no clone, no second compilation, no copy."""

    tables: Tables | None
    #: Whether the SQL is made to be run at once.
    is_running = False

    def pre_sql_setup(self, *args: Any, **kwargs: Any) -> Any:
        """Set up, then look at the joins that this added: Django takes them back after compiling."""
        result = super().pre_sql_setup(*args, **kwargs)  # type: ignore[misc]
        if self.tables is not None and len(self.query.alias_map) > 1:
            self.tables.query = self.query
            self.tables.add_joins()
        return result

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Compile; then, to run it, enter the transaction: a query that finds nothing asks no database."""
        result = super().as_sql(*args, **kwargs)  # type: ignore[misc]
        if self.is_running:
            self.logical.enter_compiled(self.plan.shards[0], self.connection)
        return result

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Run on the shard, inside the logical transaction; a database error names the shard."""
        shard = self.plan.shards[0]
        if query_planned.receivers:
            query_planned.send(sender=self.query.model, plan=self.plan)
        self.is_running = self.plan.operation == "select"
        try:
            if not self.is_running or self.query.select_for_update:
                # Django looks for the transaction of select_for_update() while compiling.
                self.logical.enter(shard, write=not self.is_running)
            return super().execute_sql(*args, **kwargs)  # type: ignore[misc]
        except Error as error:
            name_shard(error, self.logical.group, shard, self.connection.alias)
            raise

    def execute_returning_sql(self, returning_fields: Any) -> Any:
        """Django 6's UPDATE ... RETURNING: enters the transaction as :meth:`execute_sql` does."""
        query_planned.send(sender=self.query.model, plan=self.plan)
        self.logical.enter(self.plan.shards[0], write=True)
        return super().execute_returning_sql(returning_fields)  # type: ignore[misc]
