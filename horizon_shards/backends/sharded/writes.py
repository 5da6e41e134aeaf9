"""UPDATE and DELETE on several shards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any

from django.db import connections, transaction
from django.db.models.sql import Query
from django.db.models.sql.compiler import SQLDeleteCompiler
from django.db.models.sql.constants import CURSOR

from horizon_shards import context
from horizon_shards.backends.sharded.execute import run_on_shards
from horizon_shards.backends.sharded.gather import Scattered
from horizon_shards.backends.sharded.plan import Merge
from horizon_shards.backends.sharded.querylog import logged_as_one
from horizon_shards.backends.sharded.volatile import with_one_time


class RowCount:
    """Stands for the cursor that Django 5.2 reads the number of deleted rows from."""

    def __init__(self, rowcount: int) -> None:
        self.rowcount = rowcount

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> RowCount:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()


class ScatterWrite(Scattered):
    """Runs Django's UPDATE or DELETE on each shard, in one transaction of the logical database."""

    def execute_sql(self, result_type: Any = None, *args: Any, **kwargs: Any) -> Any:
        """The number of rows of all shards together; of one copy for a reference model."""
        counts = self._run(lambda compiler: row_count(compiler.execute_sql(result_type)))
        count = counts[0] if self.plan.mode == "all" else sum(counts)
        if result_type == CURSOR and isinstance(self, SQLDeleteCompiler):
            return RowCount(count)
        return count

    def execute_returning_sql(self, returning_fields: Any) -> list[Any]:
        """Django 6's UPDATE ... RETURNING: the rows of all shards."""
        answers = self._run(lambda compiler: compiler.execute_returning_sql(returning_fields))
        return answers[0] if self.plan.mode == "all" else [row for answer in answers for row in answer]

    def _run(self, call: Any) -> list[Any]:
        if self.plan.mode == "scatter":
            self.announce(Merge(("the counts of rows are added",)))
            self._leave_out_empty_shards()
        name = self.query.compiler
        # Half of an UPDATE may not stay where one shard fails.
        with transaction.atomic(using=self.logical.alias, savepoint=False):
            taken = self.logical.enlist(self.plan.shards, write=True)
            write = self._computed_once(taken) if self.plan.mode == "all" else self.query
            queries = {shard: write.clone() for shard in taken}
            for query in queries.values():
                _keep_values(write, query)

            def job(shard: str, connection: Any) -> Any:
                self.logical.begin(shard)
                compiler = connection.ops.compiler(name)(queries[shard], connection, connection.alias)
                with _borrowed(connection):
                    return call(compiler)

            with logged_as_one(taken) if self.plan.mode == "all" else nullcontext():
                results = run_on_shards(self.logical.group, taken, job)
        self._check_joins(next(iter(queries.values())))
        return results

    def _computed_once(self, taken: dict[str, Any]) -> Any:
        shard = next(iter(taken))
        self.logical.begin(shard)
        return with_one_time(self.query, taken[shard])

    def _leave_out_empty_shards(self) -> None:
        """Where a transaction may write to one shard only, look first which shards have rows to write."""
        group = self.logical.group
        if group.config.transactions != "single" or context.may_cross_shards():
            return
        sql, params = self._probe().get_compiler(connection=self.connection).as_sql()
        rows = self.fetch_from_shards(sql, params, chunked=False, chunk_size=1)
        shards = tuple(shard for shard, found in zip(self.plan.shards, rows, strict=True) if found)
        self.plan = replace(self.plan, shards=shards or self.plan.shards[:1])

    def _probe(self) -> Any:
        """A SELECT that finds a row where the condition does."""
        probe = self.query.clone()
        probe.__class__ = Query
        return probe.exists()

    def _check_joins(self, query: Query) -> None:
        if self.tables is not None:
            self.tables.query = query
            self.tables.add_joins()


def _keep_values(original: Any, clone: Any) -> None:
    """Cloning an UpdateQuery in a chain empties what it sets; a plain clone shares the list."""
    if hasattr(original, "related_updates"):
        clone.values = list(original.values)
        clone.related_ids = original.related_ids


def row_count(result: Any) -> int:
    """The number of rows, whatever form this version of Django gives it in."""
    if result is None:
        return 0
    if isinstance(result, int):
        return result
    with result:
        return int(result.rowcount)


@contextmanager
def _borrowed(connection: Any) -> Iterator[None]:
    """Let code in this thread that looks the database up by alias find the caller's connection."""
    here = getattr(connections._connections, connection.alias, None)  # type: ignore[attr-defined]
    if here is connection:
        yield
        return
    connections[connection.alias] = connection
    try:
        yield
    finally:
        del connections[connection.alias]
