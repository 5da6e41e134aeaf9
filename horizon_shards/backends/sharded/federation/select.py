"""A SELECT that is answered by a private database, after the rows that it reads were gathered."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from typing import Any

from django.db import OperationalError
from django.db.models.sql.constants import CURSOR, GET_ITERATOR_CHUNK_SIZE, MULTI
from django.db.models.sql.subqueries import AggregateQuery

from horizon_shards.backends.sharded.federation.gather import Pull, fill, pull_of
from horizon_shards.backends.sharded.federation.policy import tell
from horizon_shards.backends.sharded.federation.private import PrivateDatabase
from horizon_shards.backends.sharded.federation.refusals import LATE, check_can_federate, limit_of, reason_of
from horizon_shards.backends.sharded.federation.servers import ServersPrivateDatabase
from horizon_shards.backends.sharded.foreign import ForeignRelations
from horizon_shards.backends.sharded.plan import Merge, Plan
from horizon_shards.exceptions import QueryNotSupported, RowLimitExceeded


def federated(refusal: Exception, query: Any, logical: Any, elide_empty: bool) -> Any:
    """The compiler that federates ``query``; raises ``refusal`` where that is off or no help."""
    check_can_federate(refusal, query, logical)
    private = _private_database(logical, refusal)
    base = private.connection.ops.compiler(query.compiler)
    # No alias: the private database is in no registry.
    compiler = _federating(base)(query, private.connection, None, elide_empty)
    compiler.logical, compiler.private = logical, private
    # Without the traceback, which would hold the query.
    compiler.refusal = QueryNotSupported(str(refusal), reason=reason_of(refusal))
    compiler.plan = compiler.plan_of([])
    return compiler


#: Servers whose rules the private database knows.
KNOWN = {"mysql", "postgresql"}


def _private_database(logical: Any, refusal: Exception) -> PrivateDatabase:
    if logical.vendor == "sqlite":
        return PrivateDatabase(logical.lead)
    if logical.vendor not in KNOWN:
        raise QueryNotSupported(
            f"{refusal} Federation cannot help: nothing here knows how {logical.lead.display_name} compares values.",
            reason="federation-engine",
        )
    return ServersPrivateDatabase(logical, refusal)


@lru_cache(maxsize=64)
def _federating(base: type) -> type:
    return type(f"Federated{base.__name__}", (Federated, base), {"__module__": base.__module__})


class Federated(ForeignRelations):
    """Django's own compiler for SQLite on the private database, which is filled before the statement runs."""

    private: PrivateDatabase
    plan: Plan
    refusal: QueryNotSupported
    #: Whether the SQL is made to be run at once.
    is_running = False

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Compile; then, to run it, gather what it reads."""
        compile_query = self._aggregate_sql if isinstance(self.query, AggregateQuery) else super().as_sql  # type: ignore[misc]
        try:
            sql, params = compile_query(*args, **kwargs)
            if self.is_running:
                self._fill(sql, params)
        finally:
            # Compiling alone can open it, to ask what SQLite can do.
            if not self.is_running:
                self.private.close()
        return sql, params

    def _aggregate_sql(self) -> Any:
        """Django looks the database of the inner query up by its alias, and the private one has none."""
        original = self.query
        self.query = original.clone()
        self.query.inner_query = inner = original.inner_query.clone()
        inner.get_compiler = partial(_compiler_of, inner, self.connection)
        try:
            return super().as_sql()  # type: ignore[misc]
        finally:
            self.query = original

    def pulls(self, sql: str, params: Any) -> list[Pull]:
        """What has to be gathered to run this statement."""
        models = self.query.get_meta().apps.get_models(include_auto_created=True, include_swapped=True)
        self.private.create_tables_of(sql, models)
        try:
            reads = self.private.reads_of(sql, params)
        except OperationalError as error:
            raise self.refusal from error
        return [self._pull(table, columns, sql) for table, columns in reads.items()]

    def _pull(self, table: str, columns: list[str], sql: str) -> Pull:
        fields = {column: self.private.columns[table][column] for column in columns}
        return pull_of(table, self.private.models[table], fields, self.query, sql, self.logical.alias)

    def _fill(self, sql: str, params: Any) -> None:
        pulls = self.pulls(sql, params)
        try:
            counts = fill(self.private, pulls, limit_of(self.logical.group))
        except RowLimitExceeded as error:
            raise error from self.refusal
        tell(self.plan_of(pulls), self.query.model, self.logical.group, counts)

    def plan_of(self, pulls: list[Pull]) -> Plan:
        """What :func:`~horizon_shards.plan` shows."""
        group = self.logical.group
        why = f"no shard can answer it: {self.refusal}"
        merge = Merge((*map(str, pulls), "run the query on the gathered rows in a private SQLite database"))
        return Plan(group.alias, self.query.get_meta().label, "select", "federate", group.shard_names, why, merge)

    def execute_sql(
        self, result_type: Any = MULTI, chunked_fetch: bool = False, chunk_size: int = GET_ITERATOR_CHUNK_SIZE
    ) -> Any:
        """Gather, ask, forget: the answer is read whole, as the rows before it were."""
        if result_type == CURSOR:
            raise self.refusal
        self.is_running = True
        try:
            return super().execute_sql(result_type, chunk_size=chunk_size)  # type: ignore[misc]
        finally:
            self.is_running = False
            self.private.close()

    def explain_query(self) -> Iterator[str]:
        """The plan: what would be gathered, and the statement on it."""
        # Django has made a query of its own for this, which would compile to an EXPLAIN.
        self.query.explain_info = None
        sql, params = self.as_sql()
        try:
            yield from str(self.plan_of(self.pulls(sql, params))).splitlines()
        finally:
            self.private.close()
        yield f"  {sql}"


def _compiler_of(query: Any, private: Any, using: Any = None, *, elide_empty: bool = True) -> Any:
    # Once: a clone would have it, too, and be given the connection by Django.
    del query.get_compiler
    return private.ops.compiler(query.compiler)(query, private, None, elide_empty)


class OrFederated:
    """Mixed into compilers that find out only while compiling that the shards cannot answer."""

    logical: Any
    query: Any
    elide_empty: bool

    def _instead(self, refusal: Exception) -> Any:
        return federated(refusal, self.query, self.logical, self.elide_empty)

    def execute_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Ask the shards, or else federate and go on as that compiler."""
        try:
            return super().execute_sql(*args, **kwargs)  # type: ignore[misc]
        except LATE as refusal:
            instead = self._instead(refusal)
            result = instead.execute_sql(*args, **kwargs)
            # Whoever asked reads the columns and the converters from this object.
            vars(self).update(vars(instead))
            return result

    def explain_query(self) -> Iterator[str]:
        """The plan of whichever answers."""
        try:
            lines = list(super().explain_query())  # type: ignore[misc]
        except QueryNotSupported as refusal:
            lines = list(self._instead(refusal).explain_query())
        yield from lines
