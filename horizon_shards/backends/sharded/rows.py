"""Aggregates over rows that have to be merged first: of a slice, of distinct rows, of groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Case, Count, Func, Max, Min, Sum, Value, Window
from django.db.models.expressions import Col
from django.db.models.functions import Cast
from django.db.models.sql import Query
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE
from django.db.models.sql.subqueries import AggregateQuery

from horizon_shards.backends.sharded.aggregates import ScatterAggregate, are_merged
from horizon_shards.backends.sharded.constants import Column, batches, table_of
from horizon_shards.backends.sharded.kinds import internal_type, output_field
from horizon_shards.backends.sharded.merge import too_many_rows
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.backends.sharded.walk import nodes_in
from horizon_shards.exceptions import QueryNotSupported

Row = Sequence[Any]


class AggregateOverRows(ScatterAggregate):
    """The merged rows are sent to a shard as values, a few hundred at a time, and aggregated like its own."""

    @staticmethod
    def fits(query: Any, tables: Tables) -> bool:
        """Whether no shard has all rows that some value is computed of."""
        return isinstance(query, AggregateQuery) and are_merged(query, tables)

    def setup_partials(self) -> None:
        """As over all rows; Django names no columns of a union, so only ``count()`` can be of one."""
        if self.query.inner_query.combinator:
            raise QueryNotSupported(
                f"Aggregates over {self.query.inner_query.combinator}() are not supported, but for count(): filter by "
                "Q(...) | Q(...) instead, or aggregate list(queryset) in Python.",
                reason="aggregate-over-rows",
            )
        super().setup_partials()

    def partial_rows(self, chunk_size: int) -> list[Row]:
        """What a shard makes of each part of the merged rows."""
        self.announce_partials("rows of the inner query, merged")
        columns, rows = self._merged()
        found: list[Row] = []
        for sql, params in self._statements(columns, rows):
            found += self.ask_one(sql, params)
        return found

    def _merged(self) -> tuple[list[Column], list[Row]]:
        """The inner query's columns, named as Django names them inside an aggregate, and its rows."""
        query = self.query.inner_query.clone()
        query.subquery = False
        inner = query.get_compiler(connection=self.logical)
        limit = self.logical.group.config.max_rows
        try:
            rows = list(islice(inner.merged_rows(False, GET_ITERATOR_CHUNK_SIZE), limit + 1))
        except EmptyResultSet:
            if self.elide_empty:  # type: ignore[attr-defined]
                raise
            return [], []
        if len(rows) > limit:
            raise too_many_rows(limit, "rows")
        return list(_columns(inner.select)), rows

    def _statements(self, columns: list[Column], rows: list[Row]) -> Iterator[tuple[str, list[Any]]]:
        compiled = [self.compile(part) for part in self.layout.asked]  # type: ignore[attr-defined]
        params = [param for _, more in compiled for param in more]
        selected = ", ".join(sql for sql, _ in compiled)
        for batch in batches(rows, len(columns), self.connection, taken=len(params)):
            table, values = table_of(batch, columns, self.connection)
            statement = f"SELECT {selected} FROM ({table}) subquery{self.group_by_sql()}"  # noqa: S608
            yield statement, [*params, *values]


def _columns(select: Any) -> Iterator[Column]:
    number = 0
    for expression, _, alias in select:
        if alias is None:
            number += 1
        yield Column(alias or f"col{number}", expression, is_small=not any(map(_may_be_big, nodes_in(expression))))


def _may_be_big(node: Any) -> bool:
    """Whether whole numbers that are made of this may have 64 bits in PostgreSQL."""
    if isinstance(node, Value):
        return isinstance(node.value, int) and not abs(node.value) < 2**31
    if isinstance(node, Col | Cast):
        return internal_type(output_field(node)).startswith(("Big", "PositiveBig"))
    is_known = type(node).__module__.startswith("django.db.models.functions.") or isinstance(node, Case | Min | Max)
    return isinstance(node, Sum | Count | Window | Query) or (isinstance(node, Func) and not is_known)
