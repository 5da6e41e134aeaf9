"""Compilers whose query one shard answers, and how any compiler of a plan is made."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from django.db.models.sql import Query
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI

from horizon_shards.backends.sharded.execute import is_of_database, name_shard
from horizon_shards.backends.sharded.federation.refusals import limit_of
from horizon_shards.backends.sharded.federation.select import OrFederated
from horizon_shards.backends.sharded.foreign import ForeignRelations
from horizon_shards.backends.sharded.gather import statement_of
from horizon_shards.backends.sharded.partial import Partial, may_be_partial
from horizon_shards.backends.sharded.plan import Plan
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.signals import query_planned
from horizon_shards.topology import Group


class OneShard:
    """What the compilers share that one shard answers."""

    logical: Any
    group: Group
    plan: Plan
    connection: Any
    query: Any

    #: Whether this runs on a replica of the shard.
    is_on_replica = False

    def explain_query(self) -> Any:
        """The plan, then the shard's own explanation."""
        yield from str(replace(self.plan, statements=(statement_of(self),))).splitlines()
        yield from super().explain_query()  # type: ignore[misc]

    def from_replica(self, replica: Any, *args: Any, **kwargs: Any) -> tuple[bool, Any]:
        """Run on a replica: whether it answered, and what. Its errors are not the shard's: that is asked next."""
        primary, self.connection, self.is_on_replica = self.connection, replica, True
        try:
            return True, super().execute_sql(*args, **kwargs)  # type: ignore[misc]
        except Exception as error:
            if not is_of_database(error):
                raise
            self.logical.leave_replica(replica)
            self.connection, self.is_on_replica = primary, False
            return False, None


class BareRead(OneShard):
    """The commonest query, which nothing has to be added to: one table, outside of a transaction."""

    def pre_sql_setup(self, with_col_aliases: bool = False) -> Any:
        """Set up what such a query has, columns and plain conditions: Django looks for groups, HAVING and an order."""
        self.setup_query(with_col_aliases=with_col_aliases)  # type: ignore[attr-defined]
        self.where, self.having, self.qualify = self.query.where, None, None
        self.has_extra_select = False
        return [], [], []

    def execute_sql(
        self, result_type: str = MULTI, chunked_fetch: bool = False, chunk_size: int = GET_ITERATOR_CHUNK_SIZE
    ) -> Any:
        """Run on the shard; a database error names it."""
        shard = self.plan.shards[0]
        if query_planned.receivers:
            query_planned.send(sender=self.query.model, plan=self.plan)
        if self.group.has_replicas and (replica := self.logical.replica(shard)) is not None:
            answered, result = self.from_replica(replica, result_type, chunked_fetch, chunk_size)
            if answered:
                return result
        self.logical.enter_compiled(shard, self.connection)
        try:
            return super().execute_sql(result_type, chunked_fetch, chunk_size)  # type: ignore[misc]
        except Exception as error:
            name_shard(error, self.group, shard, self.connection.alias)
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
        if self.is_running and not self.is_on_replica:
            self.logical.enter_compiled(self.plan.shards[0], self.connection)
        return result

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Run on the shard, inside the logical transaction; a database error names the shard."""
        shard = self.plan.shards[0]
        if query_planned.receivers:
            query_planned.send(sender=self.query.model, plan=self.plan)
        self.is_running = self.plan.operation == "select"
        try:
            replica = self._replica(shard) if self.group.has_replicas else None
            if replica is not None:
                answered, result = self.from_replica(replica, *args, **kwargs)
                if answered:
                    return result
            if not self.is_running or self.query.select_for_update:
                # Django looks for the transaction of select_for_update() while compiling.
                self.logical.enter(shard, write=not self.is_running)
            return super().execute_sql(*args, **kwargs)  # type: ignore[misc]
        except Exception as error:
            name_shard(error, self.group, shard, self.connection.alias)
            raise

    def _replica(self, shard: str) -> Any:
        return self.logical.replica(shard) if self.is_running and not self.query.select_for_update else None

    def execute_returning_sql(self, returning_fields: Any) -> Any:
        """Django 6's UPDATE ... RETURNING: enters the transaction as :meth:`execute_sql` does."""
        query_planned.send(sender=self.query.model, plan=self.plan)
        self.logical.enter(self.plan.shards[0], write=True)
        return super().execute_returning_sql(returning_fields)  # type: ignore[misc]


def build(
    mixin: type, name: str, query: Query, connection: Any, plan: Plan, tables: Tables | None, elide_empty: bool
) -> Any:
    """The compiler of a plan, with what the settings and the block around ask for besides."""
    group = connection.group
    if plan.operation == "select" and limit_of(group):
        mixin = mixed(OrFederated, mixin)
    if plan.operation == "select" and may_be_partial(mixin, plan, group):
        mixin, lead = mixed(Partial, mixin), connection.opened(plan.shards)
    else:
        lead = connection.compiling_connection(group.primaries[plan.shards[0]])
    compiler = mixed(mixin, lead.ops.compiler(name))(query, lead, lead.alias, elide_empty)
    compiler.logical, compiler.group, compiler.plan, compiler.tables = connection, group, plan, tables
    return compiler


@lru_cache(maxsize=64)
def mixed(mixin: type, base: type) -> type:
    """``mixin`` over the compiler class of a physical backend."""
    return type(f"{mixin.__name__}{base.__name__}", (mixin, base), {"__module__": base.__module__})
