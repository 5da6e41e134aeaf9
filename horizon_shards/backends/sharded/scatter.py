"""A SELECT that several shards answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db.models.expressions import ColPairs, Ref

from horizon_shards.backends.sharded.equality import equatable
from horizon_shards.backends.sharded.foreign import ForeignRelations
from horizon_shards.backends.sharded.gather import RowsOfShards
from horizon_shards.backends.sharded.kinds import columns_of, source_of
from horizon_shards.backends.sharded.merge import MergeSpec, SortColumn, merge_rows
from horizon_shards.backends.sharded.order import nulls_first, orderable
from horizon_shards.backends.sharded.partials import Templated, of_group
from horizon_shards.backends.sharded.plan import Merge
from horizon_shards.backends.sharded.pushdown import check_groups, check_windows, rows_are_disjoint
from horizon_shards.backends.sharded.ranking import merge_ranked, needs_ranks
from horizon_shards.exceptions import QueryNotSupported

Row = Sequence[Any]


class ScatterSelect(RowsOfShards, ForeignRelations):
    """Rows: every shard sorts and cuts its own, the merge does the rest."""

    #: ``(sql, params)`` of values that are selected only to be compared, by their position after the rows.
    order_columns: list[Any]

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """Compile the query that each shard runs: from row 0 to the end of the slice, with its sort keys."""
        query = self.query
        low, high = query.low_mark, query.high_mark
        if high is not None and high <= low:
            raise EmptyResultSet
        original, self.query = query, query.clone()
        self.query.low_mark = 0
        try:
            compiled = super().as_sql(*args, **kwargs)  # type: ignore[misc]
            # Django filters by a window in a query around this one, which shows nothing that it does not select.
            return self._with_compared_selected() if self.qualify else compiled  # type: ignore[attr-defined]
        finally:
            self.query = original

    def _with_compared_selected(self) -> Any:
        """The SQL with the sort keys as columns of the query itself, behind the others."""
        if self.query.distinct or (self.compared and self.query.select_related):
            raise QueryNotSupported(
                "A condition on a window over several shards is not supported together with distinct(), nor with "
                "select_related() and an ordering by what is not selected: use prefetch_related(), or filter by the "
                "shard key.",
                reason="window",
            )
        query = self.query.clone()
        # Django has given back the joins that ordering made.
        query.alias_refcount = self.refcounts.copy()
        _tell_apart(query)
        for number, expression in enumerate(self.compared):
            query.add_annotation(expression, f"__compared{number}")
        return self.connection.ops.compiler("SQLCompiler")(query, self.connection, self.using).as_sql()  # type: ignore[attr-defined]

    def pre_sql_setup(self, *args: Any, **kwargs: Any) -> Any:
        """Set up, refuse what cannot be merged, and note how the rows compare."""
        extra_select, order_by, group_by = super().pre_sql_setup(*args, **kwargs)  # type: ignore[misc]
        query = self.query
        self.refcounts = query.alias_refcount.copy()
        self.tables.query = query  # type: ignore[union-attr]
        self.tables.add_joins()  # type: ignore[union-attr]
        check_groups(query, self.tables)  # type: ignore[arg-type]
        check_windows(query, self.tables)  # type: ignore[arg-type]
        return extra_select, order_by, group_by

    def get_extra_select(self, order_by: Any, select: Any) -> Any:
        """Select the terms of ORDER BY too, and what DISTINCT compares by where that is not the value itself."""
        order_by = [part for term in order_by for part in self._single_columns(term)]
        fields = self.query.distinct_fields
        extra = self._distinct_extra(order_by, select) if self.query.distinct and not fields else []
        self.compared: list[Any] = []
        widths = [len(columns_of(column[0])) for column in select]
        self.row_width = sum(widths)
        taken = list(extra)
        order = tuple(self._sort_column(term, select, widths, taken) for term in order_by)
        distinct = None
        if fields:
            distinct = self._distinct_on(fields, select, widths, taken)
        elif self.query.distinct and not rows_are_disjoint(self.query, self.tables):  # type: ignore[arg-type]
            distinct = self._distinct_columns(select, widths, taken, extra)
        self.spec = MergeSpec(order, distinct, 0, None, self.row_width)
        return taken + [part for term in extra for part in self._null_tests(term)]

    def _whole_spec(self) -> MergeSpec:
        """The merge with the slice of the query, which the shards' own statements do not have."""
        return replace(self.spec, low=self.query.low_mark, high=self.query.high_mark)

    def _distinct_extra(self, order_by: Any, select: Any) -> list[Any]:
        """What SELECT DISTINCT has to select beside the query's columns: the terms of ORDER BY that are not there.

        Django selects a term with what stands for NULLS LAST on some engines, which is two columns.
        """
        selected = [(sql, tuple(params)) for _, (sql, params), _ in select]  # some parameters are lists
        extra = []
        for order, (sql, params, is_ref) in order_by:
            plain, plain_params = self._plain_sql(order, sql, params)
            if not is_ref and (plain, tuple(plain_params)) not in selected:
                extra.append((order, (plain, tuple(plain_params)), None))
        return extra

    def _null_tests(self, term: Any) -> Iterator[Any]:
        """What stands for NULLS FIRST or LAST in ORDER BY: MySQL wants DISTINCT to select that, too."""
        order, (sql, params), alias = term
        if self.connection.vendor == "mysql" and (order.nulls_first if order.descending else order.nulls_last):
            yield order, (f"{sql} IS {'NOT ' if order.descending else ''}NULL", params), alias

    def _single_columns(self, term: Any) -> Iterator[Any]:
        """A composite key in ORDER BY, as the terms of its columns."""
        order, (_sql, _params, is_ref) = term
        if not isinstance(source_of(order.expression), ColPairs):
            yield term
            return
        for column in source_of(order.expression).get_cols():
            part = order.copy()
            part.set_source_expressions([column])
            yield part, (*self.compile(part), is_ref)  # type: ignore[attr-defined]

    def _sort_column(self, term: Any, select: Any, widths: list[int], taken: list[Any]) -> SortColumn:
        order, (sql, params, _is_ref) = term
        expression = source_of(order.expression)
        how = orderable(expression, self.connection, what="Ordering")
        sql = self._plain_sql(order, sql, params)
        return SortColumn(
            index=self._position(expression, sql, how.sql, select, widths, taken),
            descending=order.descending,
            nulls_first=nulls_first(order, self.connection),
            key=how.key,
            collate=how.collate,
        )

    def _plain_sql(self, order: Any, sql: str, params: Any) -> tuple[str, Any]:
        """The SQL of an ordering term's value; a reference by position is spelled out."""
        if isinstance(order.expression, Ref):
            return self.selected_sql(order.expression.source)  # type: ignore[attr-defined]
        return self.compile(order.expression)  # type: ignore[attr-defined, no-any-return]

    def _position(
        self, expression: Any, compiled: Any, template: str | None, select: Any, widths: list[int], taken: list[Any]
    ) -> int:
        """Where the value to compare stands in the row, selected additionally where it is not there yet."""
        sql, params = compiled
        if template is None:
            for position, (_, (other, other_params), _) in enumerate(select):
                if widths[position] == 1 and (other, tuple(other_params)) == (sql, tuple(params)):
                    return sum(widths[:position])
        else:
            if self.query.group_by is not None:
                template = of_group(template, self.connection)
            sql = template.replace("%s", sql, 1)
        for position, (_, (other, other_params), _) in enumerate(taken):
            if (other, tuple(other_params)) == (sql, tuple(params)):
                return self.row_width + position
        self.compared.append(expression if template is None else Templated(template, expression))
        taken.append((expression, (sql, tuple(params)), None))
        return self.row_width + len(taken) - 1

    def _distinct_columns(self, select: Any, widths: list[int], taken: list[Any], extra: Any) -> Any:
        """The columns by which rows are the same: the selected ones, and Django's own additional ones."""
        columns = []
        start = 0
        for (expression, compiled, _), width in zip(select, widths, strict=True):
            for offset, part in enumerate(columns_of(expression)):
                columns.append(self._distinct_column(part, compiled, start + offset, select, widths, taken))
            start += width
        for position, (order, compiled, _) in enumerate(list(extra)):
            part = source_of(order.expression)
            columns.append(self._distinct_column(part, compiled, self.row_width + position, select, widths, taken))
        return tuple(columns)

    def _distinct_on(self, fields: Sequence[str], select: Any, widths: list[int], taken: list[Any]) -> Any:
        """The columns that ``distinct("field")`` names; the first row of each value, in the merged order, stays."""
        columns = []
        for column in (part for name in fields for part in columns_of(self.query.resolve_ref(name))):
            how = equatable(column, self.connection, what="DISTINCT")
            position = self._position(column, self.compile(column), how.sql, select, widths, taken)  # type: ignore[attr-defined]
            columns.append((position, how.key))
        return tuple(columns)

    def _distinct_column(
        self, part: Any, compiled: Any, index: int, select: Any, widths: list[int], taken: list[Any]
    ) -> Any:
        how = equatable(part, self.connection, what="DISTINCT")
        if how.sql is None:
            return index, how.key
        return self._position(part, compiled, how.sql, select, widths, taken), how.key

    def merged_rows(self, chunked: bool, chunk_size: int) -> Iterator[Row]:
        """The merged rows, without the columns that served the merge."""
        if self.query.select_for_update:
            # Django looks for the transaction while compiling.
            self.logical.enter(self.plan.shards[0], write=False)
        sql, params = self.as_sql()
        self.col_count = len(self.select)  # type: ignore[attr-defined]
        spec = self._whole_spec()
        self.announce(Merge(spec.steps()))
        streams = self.fetch_from_shards(sql, params, chunked=chunked, chunk_size=chunk_size)
        merged = merge_rows(self._in_order(streams), spec, max_rows=self.logical.group.config.max_rows)
        return _trimmed(merged, spec.width, streams)

    def _in_order(self, streams: list[Any]) -> list[Any]:
        """One stream, where the database has to rank what the merge compares."""
        order = self.spec.order
        if len(streams) < 2 or not needs_ranks(order):
            return streams
        return [merge_ranked(streams, order, self.ask_one)]

    def explain_query(self) -> Iterator[str]:
        """The plan with its merge, then each shard's own explanation."""
        self.as_sql()
        self.plan = replace(self.plan, merge=Merge(self._whole_spec().steps()))
        yield from super().explain_query()


def _trimmed(rows: Iterable[Row], width: int, streams: list[Any]) -> Iterator[Row]:
    try:
        for row in rows:
            yield row[:width]
    finally:
        for stream in streams:
            if hasattr(stream, "close"):
                stream.close()


def _tell_apart(query: Any) -> None:
    """Django's query around a window selects what stands there twice but once, and the row would lack a column."""
    seen = list(query.select)
    for name, expression in query.annotation_select.items():
        if expression in seen:
            query.annotations[name] = Templated("%s", expression)
        seen.append(expression)
    query.set_annotation_mask(query.annotation_select_mask)
