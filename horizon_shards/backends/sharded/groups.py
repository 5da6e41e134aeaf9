"""GROUP BY whose groups lie on several shards: partial groups on each, combined here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db.models.expressions import ColPairs, Ref

from horizon_shards.backends.sharded.equality import groupable
from horizon_shards.backends.sharded.finish import Finish
from horizon_shards.backends.sharded.gather import RowsOfShards
from horizon_shards.backends.sharded.kinds import source_of
from horizon_shards.backends.sharded.layout import Layout, part_name
from horizon_shards.backends.sharded.merge import SortColumn, distinct_rows, sort_key, too_many_rows
from horizon_shards.backends.sharded.order import nulls_first, orderable
from horizon_shards.backends.sharded.plan import Merge
from horizon_shards.backends.sharded.pushdown import check_windows
from horizon_shards.backends.sharded.ranking import with_ranks
from horizon_shards.exceptions import QueryNotSupported

Row = Sequence[Any]


class ScatterGroups(RowsOfShards):
    """``values().annotate()`` over groups that several shards have parts of."""

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """The statement of each shard: its partial groups, neither sorted nor cut."""
        self.plan_groups()
        compiler = self.connection.ops.compiler("SQLCompiler")(self.partial_query(), self.connection, self.using)  # type: ignore[attr-defined]
        return compiler.as_sql()

    def plan_groups(self) -> None:
        """Read the query as Django compiles it: what is selected, grouped by, sorted by, and the HAVING."""
        query = self.query = self.query.clone()
        extra_select, order_by, group_by = super().pre_sql_setup()  # type: ignore[misc]
        assert self.tables is not None
        self.tables.query = query
        self.tables.add_joins()
        self._check(query)
        grouped = query.group_by if isinstance(query.group_by, tuple) else ()
        named = [source_of(_resolved(expression, query)) for expression in grouped]
        layout = self.layout = Layout(self.connection, self.tables, named)
        self.col_count = len(self.select)  # type: ignore[attr-defined]
        self.output = [layout.position(expression) for expression, _, _ in self.select]  # type: ignore[attr-defined]
        for expression in (*named, *self._apart_from(grouped, order_by)):
            layout.position(expression)
        # Django leaves Meta.ordering out of GROUP BY, and so out of ORDER BY.
        terms = [] if self._meta_ordering else [order for order, _ in order_by]  # type: ignore[attr-defined]
        self.order = tuple(self._sort_column(order) for order in terms)
        self.distinct = self._distinct_columns(extra_select) if query.distinct else None
        condition = None if self.having is None else layout.placed(self.having)  # type: ignore[attr-defined]
        #: Where constants alone are grouped by, what says whether a shard has a row at all.
        self.counted = layout.count_of_rows() if group_by and not layout.keys else None
        #: Whether neither GROUP BY nor an aggregate is in the SQL: then a database gives each row by itself.
        self.is_bare = not group_by and condition is None and not any(map(self._is_computed, layout.aggregates))
        if self.is_bare:
            layout.ask_for_aggregates()
        layout.close()
        self.finish = Finish(layout, condition, self)

    def _is_computed(self, placed: tuple[int, Any]) -> bool:
        """Whether the aggregate is in the SQL: one whose condition can never hold is a value of Django's."""
        try:
            self.compile(placed[1])  # type: ignore[attr-defined]
        except EmptyResultSet:
            return False
        except FullResultSet:
            pass
        return True

    def _apart_from(self, grouped: Sequence[Any], order_by: Any) -> Iterator[Any]:
        """What Django groups by beside ``grouped``: columns below a condition that is selected or sorted by again."""
        names = {node.refs for node in grouped if isinstance(node, Ref)}  # type: ignore[attr-defined]
        again = [expression for expression, _, alias in self.select if alias not in names]  # type: ignore[attr-defined]
        if not self._meta_ordering:  # type: ignore[attr-defined]
            again += [order.expression for order, (_, _, is_ref) in order_by if not is_ref]
        for expression in map(source_of, again):
            if expression in self.layout.named:
                yield from expression.get_group_by_cols()

    def _check(self, query: Any) -> None:
        check_windows(query, self.tables)  # type: ignore[arg-type]
        if self.qualify:  # type: ignore[attr-defined]
            raise QueryNotSupported(
                "Groups over several shards of the rows that a condition on a window leaves are not supported: group "
                "by the shard key as well, filter by it, or fetch the keys of those rows and filter by pk__in=[...].",
                reason="window",
            )
        selected = [expression for expression, _, _ in self.select]  # type: ignore[attr-defined]
        if query.distinct_fields or any(isinstance(expression, ColPairs) for expression in selected):
            raise QueryNotSupported(
                "distinct() with field names, and composite keys, cannot be grouped over several shards: filter by the "
                "shard key.",
                reason="group-by",
            )

    def _sort_column(self, order: Any) -> SortColumn:
        expression = source_of(order.expression)
        how = orderable(expression, self.connection, what="Ordering")
        position = self.layout.sort_position(expression, how.sql)
        return SortColumn(position, order.descending, nulls_first(order, self.connection), how.key, how.collate)

    def _distinct_columns(self, extra_select: Any) -> tuple[Any, ...]:
        """By what groups are the same for DISTINCT: what is selected, and what Django selects to order by it."""
        columns = []
        for expression in [*(entry[0] for entry in self.select), *(_ordered_by(entry[0]) for entry in extra_select)]:  # type: ignore[attr-defined]
            how = groupable(expression, self.connection, what="DISTINCT")
            columns.append((self.layout.sort_position(expression, how.sql), how.key))
        return tuple(columns)

    def partial_query(self) -> Any:
        """The query of each shard."""
        query = self.query.clone()
        query.annotations = {part_name(n): expression for n, expression in enumerate(self.layout.asked)}
        query.set_annotation_mask(query.annotations)
        query.select, query.default_cols, query.values_select = (), False, ()
        query.selected = None
        query.select_related = False
        query.group_by = tuple(self.layout.grouped)
        query.where = self.where if self.where is not None else query.where.__class__()  # type: ignore[attr-defined]
        query.distinct = False
        query.clear_ordering(force=True)
        query.clear_limits()
        return query

    def merged_rows(self, chunked: bool, chunk_size: int) -> Iterator[Row]:
        """The groups that satisfy HAVING, in order, cut to the slice."""
        original = self.query
        try:
            sql, params = self.as_sql()
        finally:
            self.query, query = original, self.query
        steps = [f"{len(self.layout.computed)} aggregate(s) of each group from partial values"]
        self.announce(Merge((*steps, *self.finish.steps(), *(["sorted"] if self.order else []))))
        answers = self.fetch_from_shards(sql, params, chunked=False, chunk_size=chunk_size)
        groups = [self.layout.combined(parts) for parts in self._together(answers)]
        groups = self.finish.apply(groups, self.ask_one)
        if self.order:
            groups.sort(key=sort_key(with_ranks(self.order, groups, self.ask_one)))
        rows = iter(groups) if self.distinct is None else distinct_rows(groups, self.distinct, len(groups))
        return (
            tuple([group[position] for position in self.output])
            for group in islice(rows, query.low_mark, query.high_mark)
        )

    def _together(self, answers: list[list[Row]]) -> list[list[Row]]:
        """The partial rows of each group."""
        limit = self.logical.group.config.max_rows
        if self.is_bare:
            if sum(map(len, answers)) > limit:
                raise too_many_rows(limit, "rows")
            return [[row] for answer in answers for row in answer]
        found: dict[Any, list[Row]] = {}
        identity = self.layout.identity
        for answer in answers:
            for row in answer:
                if self.counted is not None and not row[self.counted]:
                    continue
                found.setdefault(identity(row), []).append(row)
                if len(found) > limit:
                    raise too_many_rows(limit, "groups")
        # Where nothing is grouped by, there is one group of all rows, also of none.
        is_grouped = self.layout.keys or self.counted is not None
        return list(found.values()) or ([] if is_grouped else [[]])


def _ordered_by(expression: Any) -> Any:
    return source_of(getattr(expression, "expression", expression))


def _resolved(expression: Any, query: Any) -> Any:
    return expression if hasattr(expression, "as_sql") else query.resolve_ref(expression)
