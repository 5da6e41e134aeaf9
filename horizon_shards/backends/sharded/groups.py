"""GROUP BY whose groups lie on several shards: partial groups on each, combined here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from django.db.models.expressions import ColPairs

from horizon_shards.backends.sharded.gather import RowsOfShards
from horizon_shards.backends.sharded.having import having_test
from horizon_shards.backends.sharded.merge import SortColumn, sort_key, too_many_rows
from horizon_shards.backends.sharded.order import comparable, nulls_first, source_of
from horizon_shards.backends.sharded.partials import Converted, KeepsConverted, Partial, Templated, partial_of
from horizon_shards.backends.sharded.plan import Merge
from horizon_shards.backends.sharded.pushdown import check_windows
from horizon_shards.exceptions import QueryNotSupported

Row = Sequence[Any]


class Layout:
    """The values of a group: those that make it (keys) and those computed of it, and what to ask the shards."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.expressions: list[Any] = []
        self.asked: list[Any] = []
        self.keys: list[tuple[int, int, Any]] = []
        self.computed: list[tuple[int, tuple[int, ...], Partial]] = []
        #: Where the shards say the sort key of a text, by the text's position.
        self.weights: dict[int, int] = {}

    def position(self, expression: Any) -> int:
        """Where the value of an expression stands in a group's row, taken up where it is new."""
        expression = source_of(expression)
        for position, known in enumerate(self.expressions):
            if known == expression:
                return position
        self.expressions.append(expression)
        if expression.contains_aggregate:
            self._compute(len(self.expressions) - 1, expression)
        else:
            self._key(len(self.expressions) - 1, expression)
        return len(self.expressions) - 1

    def _key(self, position: int, expression: Any) -> None:
        how = comparable(expression, self.connection, what="GROUP BY")
        self.asked.append(expression)
        value = len(self.asked) - 1
        if how.sql is None:
            self.keys.append((position, value, how.key))
            return
        self.asked.append(Templated(how.sql, expression))
        self.weights[position] = value + 1
        self.keys.append((position, value, None))
        self.keys.append((-1, value + 1, how.key))

    def _compute(self, position: int, expression: Any) -> None:
        partial = partial_of(str(expression), expression, self.connection)
        places = tuple(range(len(self.asked), len(self.asked) + len(partial.parts)))
        self.asked.extend(partial.parts)
        self.computed.append((position, places, partial))

    def group_by(self) -> tuple[Any, ...]:
        """The expressions that each shard groups by."""
        keys = [self.expressions[position] for position, _, _ in self.keys if position >= 0]
        return tuple(column for key in keys for column in key.get_group_by_cols())

    def identity(self, row: Row) -> tuple[Any, ...]:
        """What is equal for partial groups that are one; a text's own weight stands for the text."""
        weighed = {value - 1 for position, value, _ in self.keys if position < 0}
        return tuple(
            row[value] if key is None or row[value] is None else key(row[value])
            for _, value, key in self.keys
            if value not in weighed
        )

    def combined(self, rows: list[Row]) -> tuple[list[Any], list[Any]]:
        """The values of one group out of its partial rows, and the same as they sort."""
        values: list[Any] = [None] * len(self.expressions)
        for position, value, _ in self.keys:
            if position >= 0:
                values[position] = rows[0][value]
        for position, places, partial in self.computed:
            values[position] = partial.combine([tuple(row[place] for place in places) for row in rows])
        sortable = [_plain(value) for value in values]
        for position, place in self.weights.items():
            sortable[position] = rows[0][place]
        return values, sortable


class ScatterGroups(KeepsConverted, RowsOfShards):
    """``values().annotate()`` over groups that several shards have parts of."""

    def as_sql(self, *args: Any, **kwargs: Any) -> Any:
        """The statement of each shard: its partial groups, neither sorted nor cut."""
        self.plan_groups()
        compiler = self.connection.ops.compiler("SQLCompiler")(self.partial_query(), self.connection, self.using)  # type: ignore[attr-defined]
        return compiler.as_sql()

    def plan_groups(self) -> None:
        """Read the query as Django compiles it: what is selected, grouped by, sorted by, and the HAVING."""
        query = self.query = self.query.clone()
        extra_select, order_by, _ = super().pre_sql_setup()  # type: ignore[misc]
        assert self.tables is not None
        self.tables.query = query
        self.tables.add_joins()
        self._check(query, extra_select)
        self.layout = Layout(self.connection)
        self.col_count = len(self.select)  # type: ignore[attr-defined]
        self.output = [self.layout.position(expression) for expression, _, _ in self.select]  # type: ignore[attr-defined]
        for expression in query.group_by if isinstance(query.group_by, tuple) else ():
            self.layout.position(_resolved(expression, query))
        self.order = tuple(self._sort_column(order) for order, _ in order_by)
        self.test = None if self.having is None else having_test(self.having, self.layout.position)  # type: ignore[attr-defined]
        self._check_distinct(query)

    def _check(self, query: Any, extra_select: Any) -> None:
        check_windows(query, self.tables)  # type: ignore[arg-type]
        selected = [expression for expression, _, _ in self.select]  # type: ignore[attr-defined]
        if query.distinct_fields or any(isinstance(expression, ColPairs) for expression in selected):
            raise QueryNotSupported(
                "distinct() with field names, and composite keys, cannot be grouped over several shards: filter by the "
                "shard key.",
                reason="group-by",
            )

    def _check_distinct(self, query: Any) -> None:
        """Groups differ in their keys; where all of them are selected, DISTINCT adds nothing."""
        keys = {position for position, _, _ in self.layout.keys if position >= 0}
        if query.distinct and not keys <= set(self.output):
            raise QueryNotSupported(
                "distinct() on groups over several shards needs every value that is grouped or sorted by in values().",
                reason="group-by",
            )

    def _sort_column(self, order: Any) -> SortColumn:
        expression = source_of(order.expression)
        how = comparable(expression, self.connection, what="Ordering")
        position = self.layout.position(expression)
        if how.sql is not None and expression.contains_aggregate:
            raise QueryNotSupported(
                f"Ordering groups over several shards by {expression!r} needs the database's collation: order in "
                "Python.",
                reason="order",
            )
        return SortColumn(position, order.descending, nulls_first(order, self.connection), how.key)

    def partial_query(self) -> Any:
        """The query of each shard."""
        query = self.query.clone()
        query.annotations = {f"__part{n}": expression for n, expression in enumerate(self.layout.asked)}
        query.set_annotation_mask(query.annotations)
        query.select, query.default_cols, query.values_select = (), False, ()
        query.selected = None
        query.select_related = False
        query.group_by = self.layout.group_by()
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
        self.announce(Merge((*steps, *(["HAVING"] if self.test else []), *(["sorted"] if self.order else []))))
        rows = self.fetch_from_shards(sql, params, chunked=False, chunk_size=chunk_size)
        groups = [self.layout.combined(parts) for parts in self._together(rows).values()]
        if self.test is not None:
            groups = [group for group in groups if self.test(self._converted(group[0])) is True]
        groups.sort(key=self._sort_key())
        return (
            tuple(group[position] for position in self.output)
            for group, _ in islice(groups, query.low_mark, query.high_mark)
        )

    def _together(self, answers: list[list[Row]]) -> dict[Any, list[Row]]:
        found: dict[Any, list[Row]] = {}
        limit = self.logical.group.config.max_rows
        for answer in answers:
            for row in answer:
                found.setdefault(self.layout.identity(row), []).append(row)
                if len(found) > limit:
                    raise too_many_rows(limit, "groups")
        return found

    def _sort_key(self) -> Any:
        if not self.order:
            return lambda group: 0
        key = sort_key(self.order)
        return lambda group: key(group[1])

    def _converted(self, group: list[Any]) -> list[Any]:
        """The values of a group as Python's, for comparing with those of the condition."""
        converters = self.get_converters(self.layout.expressions)  # type: ignore[attr-defined]
        (row,) = self.apply_converters([group], converters)
        return row


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Converted) else value


def _resolved(expression: Any, query: Any) -> Any:
    return expression if hasattr(expression, "as_sql") else query.resolve_ref(expression)
