"""What all compilers that ask several shards share: compile once, run everywhere, hand rows on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models import Value
from django.db.models.sql.constants import CURSOR, GET_ITERATOR_CHUNK_SIZE, MULTI, NO_RESULTS, SINGLE

from horizon_shards.backends.sharded.execute import is_of_database, name_shard, run_on_shards
from horizon_shards.backends.sharded.flight.question import Question
from horizon_shards.backends.sharded.merge import too_many_rows
from horizon_shards.backends.sharded.plan import Merge, Plan, Statement
from horizon_shards.backends.sharded.policy import check_scatter
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.exceptions import QueryNotSupported, ScatterTimeout
from horizon_shards.signals import query_planned

Row = Sequence[Any]


class Rehearsed(Exception):  # noqa: N818
    """Ends a rehearsal: the plan is complete."""


class Scattered:
    """What all compilers that ask several shards share: compile once, run everywhere."""

    logical: Any
    plan: Plan
    tables: Tables | None
    connection: Any
    query: Any
    #: Whether the statement is only to be looked at: running stops where the shards would be asked.
    is_rehearsal = False

    def announce(self, merge: Merge) -> None:
        """Apply the scatter policy and tell what is about to run."""
        self.plan = replace(self.plan, merge=merge)
        if self.is_rehearsal:
            return
        check_scatter(self.plan, self.logical.group)
        query_planned.send(sender=self.query.model, plan=self.plan)

    @contextmanager
    def naming_lead(self) -> Iterator[None]:
        """Name the shard that the SQL is made for: making it can ask its server."""
        try:
            yield
        except Exception as error:
            name_shard(error, self.logical.group, self.plan.shards[0], self.connection.alias)
            raise

    def fetch_from_shards(self, sql: str, params: Any, *, chunked: bool, chunk_size: int) -> list[Any]:
        """Run one statement on all shards at once: a list of rows each, or a stream each where ``chunked``."""
        if self.is_rehearsal:
            self.plan = replace(self.plan, statements=(Statement(self.plan.shards, sql, tuple(params)),))
            raise Rehearsed
        max_rows = self.logical.group.config.max_rows

        def read(cursor: Any) -> Any:
            return cursor if chunked else fetch_all(cursor, chunk_size, max_rows)

        results = self._read(Question(self.logical, sql, params, read, chunked))
        if chunked:
            return [Stream(cursor, chunk_size) if cursor else cursor for cursor in results]
        # A slice is as long as the caller asked for.
        if self.query.high_mark is None and sum(map(len, results)) > max_rows:
            raise too_many_rows(max_rows, "rows")
        return results

    def _read(self, job: Any) -> list[Any]:
        """One answer a shard, from replicas where that may be; the primaries are asked where a replica fails."""
        connections = self.logical.enlist_readers(self.plan.shards)
        primaries = self.logical.group.primaries
        replicas = [each for shard, each in connections.items() if each.alias != primaries[shard]]
        if not replicas:
            return self.run_on(connections, job)
        try:
            return run_on_shards(self.logical.group, connections, job)
        except ScatterTimeout:
            raise
        except Exception as error:
            if not is_of_database(error):
                raise
            for replica in replicas:
                self.logical.leave_replica(replica)
        return self.run_on(self.logical.enlist(self.plan.shards, write=False), job)

    def selected_sql(self, expression: Any) -> tuple[str, tuple[Any, ...]]:
        """The SQL of an expression as Django selects it: a condition that nothing satisfies does not empty the rest."""
        try:
            sql, params = self.compile(expression)  # type: ignore[attr-defined]
        except EmptyResultSet:
            empty = getattr(expression, "empty_result_set_value", NotImplemented)
            sql, params = ("0", ()) if empty is NotImplemented else self.compile(Value(empty))  # type: ignore[attr-defined]
        except FullResultSet:
            sql, params = self.compile(Value(True))  # type: ignore[attr-defined]
        else:
            sql, params = expression.select_format(self, sql, params)
        return sql, tuple(params)

    def ask_one(self, sql: str, params: Sequence[Any]) -> list[Row]:
        """Run a statement that reads no table on one of the shards."""
        read = partial(fetch_all, chunk_size=GET_ITERATOR_CHUNK_SIZE, max_rows=self.logical.group.config.max_rows)
        connections = self.logical.enlist(self.plan.shards[:1], write=False)
        (rows,) = run_on_shards(self.logical.group, connections, Question(self.logical, sql, params, read))
        return rows

    def run_on(self, connections: dict[str, Any], job: Any) -> list[Any]:
        """One answer a shard, from all of them."""
        return run_on_shards(self.logical.group, connections, job)

    def explain_query(self) -> Iterator[str]:
        """The plan, then each shard's own explanation."""
        statement = statement_of(self)
        sql, params = self.as_sql()  # type: ignore[attr-defined]
        yield from str(replace(self.plan, statements=(statement,))).splitlines()
        rows = self.fetch_from_shards(sql, params, chunked=False, chunk_size=GET_ITERATOR_CHUNK_SIZE)
        for shard, answer in zip(self.plan.shards, rows, strict=True):
            yield f"{shard}:"
            for row in answer:
                yield "  " + " ".join(str(value) for value in row)


def statement_of(compiler: Any) -> Statement:
    """What a compiler would run, also where it is to explain that."""
    query = compiler.query
    explain_info, query.explain_info = query.explain_info, None
    try:
        sql, params = compiler.as_sql()
    finally:
        # Compiling may have put a clone in its place.
        compiler.query, query.explain_info = query, explain_info
    return Statement(compiler.plan.shards, sql, tuple(params))


def fetch_all(cursor: Any, chunk_size: int, max_rows: int) -> list[Row]:
    """The rows of one shard, up to the limit; closes the cursor."""
    rows: list[Row] = []
    with cursor:
        while chunk := cursor.fetchmany(chunk_size):
            rows.extend(chunk)
            if len(rows) > max_rows:
                raise too_many_rows(max_rows, "rows")
    return rows


class Stream:
    """The rows of one shard's cursor; closing it closes the cursor, also where no row was read."""

    def __init__(self, cursor: Any, chunk_size: int) -> None:
        self.cursor, self.chunk_size = cursor, chunk_size

    def __iter__(self) -> Iterator[Row]:
        while chunk := self.cursor.fetchmany(self.chunk_size):
            yield from chunk
        self.close()

    def close(self) -> None:
        """Close the cursor."""
        self.cursor.close()


class RowsOfShards(Scattered):
    """A SELECT whose subclass gives the rows of all shards as one stream, by ``merged_rows``."""

    def merged_rows(self, chunked: bool, chunk_size: int) -> Iterator[Row]:
        """The rows of the result, before Django's converters."""
        raise TypeError(f"{type(self).__name__} must say how rows are merged.")

    def execute_sql(
        self, result_type: Any = MULTI, chunked_fetch: bool = False, chunk_size: int = GET_ITERATOR_CHUNK_SIZE
    ) -> Any:
        """Run on all shards at once and merge; results as Django's compiler gives them."""
        if result_type == CURSOR:
            raise QueryNotSupported("No cursor can stand for several shards.", reason="cursor")
        try:
            with self.naming_lead():
                rows = self.merged_rows(chunked_fetch, chunk_size)
        except EmptyResultSet:
            return iter([]) if result_type == MULTI else None
        if not result_type or result_type == NO_RESULTS:
            return None
        if result_type == SINGLE:
            return next(iter(rows), None)
        chunks = _chunks(rows, chunk_size)
        return chunks if chunked_fetch else list(chunks)


def _chunks(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while chunk := list(islice(rows, size)):
        yield chunk
