"""Aggregates over several shards: partial values on each, combined exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models import Count
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI, SINGLE
from django.db.models.sql.subqueries import AggregateQuery

from horizon_shards.backends.sharded.gather import Scattered
from horizon_shards.backends.sharded.partials import KeepsConverted, partial_of
from horizon_shards.backends.sharded.plan import Merge
from horizon_shards.backends.sharded.pushdown import check_groups, check_windows, groups_are_whole, rows_are_disjoint
from horizon_shards.exceptions import QueryNotSupported


class ScatterAggregate(KeepsConverted, Scattered):
    """``aggregate()`` and ``count()``: each shard gives its partial values, one row."""

    def setup_partials(self) -> None:
        """Replace each aggregate of the query by what a shard has to give of it."""
        query = self.query = self.query.clone()
        if isinstance(query, AggregateQuery):
            self._check_inner(query)
        self.combiners = []
        parts: list[Any] = []
        for alias, annotation in query.annotation_select.items():
            partial = partial_of(alias, annotation, self.connection)
            positions = range(len(parts), len(parts) + len(partial.parts))
            self.combiners.append((tuple(positions), partial.combine))
            parts.extend(partial.parts)
        query.annotations = {f"__partial{n}": part for n, part in enumerate(parts)}
        query.set_annotation_mask(query.annotations)

    def _check_inner(self, query: Any) -> None:
        """The rows that are aggregated must be whole on each shard."""
        inner, tables = query.inner_query, self.tables
        # A union has no tables of its own.
        if tables is None or inner.is_sliced or (inner.distinct and not rows_are_disjoint(inner, tables)):
            raise QueryNotSupported(
                f"Aggregates over a slice, a union or distinct rows of {query.get_meta().label} on several shards are "
                "not supported, but for count(): aggregate list(queryset) in Python, or filter by the shard key.",
                reason="aggregate-over-rows",
            )
        check_groups(inner, tables)
        check_windows(inner, tables)

    def execute_sql(
        self, result_type: Any = MULTI, chunked_fetch: bool = False, chunk_size: int = GET_ITERATOR_CHUNK_SIZE
    ) -> Any:
        """Run on all shards at once and combine to one row."""
        original = self.query
        self.setup_partials()
        try:
            with self.naming_lead():
                sql, params = self.as_sql()  # type: ignore[attr-defined]
        except EmptyResultSet:
            return iter([]) if result_type == MULTI else None
        finally:
            self.query, partial = original, self.query
        self._check_joins(partial)
        self.announce(Merge((f"{len(self.combiners)} aggregate(s) from partial values",)))
        rows = self.fetch_from_shards(sql, params, chunked=False, chunk_size=chunk_size)
        row = tuple(self._combined([answer[0] for answer in rows if answer]))
        self.col_count = len(row)
        return row if result_type == SINGLE else [[row]]

    def _check_joins(self, partial: Any) -> None:
        assert self.tables is not None
        self.tables.query = getattr(partial, "inner_query", partial)
        self.tables.add_joins()

    def _combined(self, rows: list[Sequence[Any]]) -> Iterator[Any]:
        for positions, combine in self.combiners:
            yield combine([tuple(row[position] for position in positions) for row in rows])


class ScatterCount(Scattered):
    """``count()`` of a slice or of distinct rows: the rows are merged and counted, not kept."""

    @staticmethod
    def fits(query: Any, tables: Any) -> bool:
        """Whether the query only counts rows that have to be merged first."""
        counts = list(query.annotation_select.values())
        inner = query.inner_query
        merged = inner.combinator or inner.is_sliced or inner.distinct or not groups_are_whole(inner, tables)
        return merged and all(type(count) is Count and count.filter is None and _counts_rows(count) for count in counts)

    def execute_sql(self, result_type: Any = MULTI, **kwargs: Any) -> Any:
        """Merge the inner query's rows, count them."""
        query = self.query.inner_query.clone()
        # As a subquery it would be wrapped to hide the columns that the merge compares by.
        query.subquery = False
        inner = query.get_compiler(connection=self.logical)
        try:
            if hasattr(inner, "merged_rows"):
                count = sum(1 for _ in inner.merged_rows(True, GET_ITERATOR_CHUNK_SIZE))
            else:
                count = sum(map(len, inner.execute_sql(MULTI)))
        except EmptyResultSet:
            count = 0
        row = tuple(count for _ in self.query.annotation_select)
        return row if result_type == SINGLE else [[row]]


def _counts_rows(count: Count) -> bool:
    (source, *_) = count.get_source_expressions()
    return type(source).__name__ == "Star"
