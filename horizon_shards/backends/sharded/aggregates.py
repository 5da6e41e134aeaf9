"""Aggregates over several shards: partial values on each, combined to one row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models import Count, Value
from django.db.models.sql.constants import GET_ITERATOR_CHUNK_SIZE, MULTI, SINGLE
from django.db.models.sql.subqueries import AggregateQuery

from horizon_shards.backends.sharded.finish import Finish
from horizon_shards.backends.sharded.gather import Scattered
from horizon_shards.backends.sharded.kinds import output_field
from horizon_shards.backends.sharded.layout import Layout
from horizon_shards.backends.sharded.plan import Merge
from horizon_shards.backends.sharded.pushdown import check_windows, groups_are_whole, rows_are_disjoint
from horizon_shards.backends.sharded.tables import Tables
from horizon_shards.backends.sharded.walk import inner_of
from horizon_shards.exceptions import QueryNotSupported

Row = Sequence[Any]


class ScatterAggregate(Scattered):
    """``aggregate()`` and ``count()``: each shard gives its partial values, one row."""

    def setup_partials(self) -> None:
        """Replace each aggregate of the query by what a shard has to give of it."""
        query = self.query = self.query.clone()
        if isinstance(query, AggregateQuery) and self.tables is not None:
            check_windows(query.inner_query, self.tables)
        layout = self.layout = Layout(self.connection, self.tables)
        self.output = [layout.position(annotation) for annotation in query.annotation_select.values()]
        if layout.keys:
            raise QueryNotSupported(
                "aggregate() over several shards of a column outside of any aggregate is not supported: aggregate it "
                "too (Max), or add it to values() before.",
                reason="aggregate",
            )
        if isinstance(query, AggregateQuery):
            # Here Django lets an aggregate whose condition can never hold empty the whole answer, but not a default.
            for annotation in query.annotation_select.values():
                self.compile(annotation)  # type: ignore[attr-defined]
        layout.close()
        layout.asked = [self._answerable(part) for part in layout.asked]
        self.finish = Finish(layout, None, self)
        query.annotations = {f"__partial{n}": part for n, part in enumerate(layout.asked)}
        query.set_annotation_mask(query.annotations)
        query.group_by = tuple(layout.grouped) or None

    def _answerable(self, part: Any) -> Any:
        """The part, or what it comes to where its condition can never hold: the other parts are wanted all the same."""
        try:
            self.compile(part)  # type: ignore[attr-defined]
        except EmptyResultSet:
            empty = getattr(part, "empty_result_set_value", NotImplemented)
            return Value(0 if empty is NotImplemented else empty, output_field=output_field(part))
        except FullResultSet:
            pass
        return part

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Compile; Django's aggregates of an inner query have no GROUP BY of their own."""
        sql, params = super().as_sql(*args, **kwargs)  # type: ignore[misc]
        return (sql + self.group_by_sql(), params) if isinstance(self.query, AggregateQuery) else (sql, params)

    def group_by_sql(self) -> str:
        """GROUP BY of the values that travel one by one, by their places."""
        places = ", ".join(str(place + 1) for place in self.layout.apart)
        return f" GROUP BY {places}" if places else ""

    def execute_sql(
        self, result_type: Any = MULTI, chunked_fetch: bool = False, chunk_size: int = GET_ITERATOR_CHUNK_SIZE
    ) -> Any:
        """Run on all shards at once and combine to one row."""
        original = self.query
        try:
            self.setup_partials()
            with self.naming_lead():
                answers = self.partial_rows(chunk_size)
        except EmptyResultSet:
            return iter([]) if result_type == MULTI else None
        finally:
            self.query = original
        (group,) = self.finish.apply([self.layout.combined(answers)], self.ask_one)
        row = tuple([group[position] for position in self.output])
        self.col_count = len(row)
        return row if result_type == SINGLE else [[row]]

    def partial_rows(self, chunk_size: int) -> list[Row]:
        """What the shards give."""
        sql, params = self.as_sql()
        self._check_joins(self.query)
        self.announce_partials()
        answers = self.fetch_from_shards(sql, params, chunked=False, chunk_size=chunk_size)
        return [row for answer in answers for row in answer]

    def announce_partials(self, *steps: str) -> None:
        """Tell what is about to run."""
        count = f"{len(self.layout.computed)} aggregate(s) from partial values"
        self.announce(Merge((*steps, count, *self.finish.steps())))

    def _check_joins(self, partial: Any) -> None:
        assert self.tables is not None
        self.tables.query = inner_of(partial)
        self.tables.add_joins()


class ScatterCount(Scattered):
    """``count()`` of a slice or of distinct rows: the rows are merged and counted, not kept."""

    @staticmethod
    def fits(query: Any, tables: Tables) -> bool:
        """Whether the query only counts rows that have to be merged first."""
        counts = list(query.annotation_select.values())
        return are_merged(query, tables) and all(
            type(count) is Count and count.filter is None and _counts_rows(count) for count in counts
        )

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


def are_merged(query: Any, tables: Tables) -> bool:
    """Whether the rows that are aggregated are not simply those of the shards together."""
    inner = query.inner_query
    if inner.combinator or inner.is_sliced:
        return True
    distinct = inner.distinct and not rows_are_disjoint(inner, tables)
    return distinct or not groups_are_whole(inner, tables)


def _counts_rows(count: Count) -> bool:
    (source, *_) = count.get_source_expressions()
    return type(source).__name__ == "Star"
