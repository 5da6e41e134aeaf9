"""union(), intersection() and difference() over shards: each part runs by its own plan, the rows meet here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import DatabaseError

from horizon_shards.backends.sharded.gather import RowsOfShards
from horizon_shards.backends.sharded.kinds import columns_of
from horizon_shards.backends.sharded.merge import MergeSpec, SortColumn, merge_rows, too_many_rows
from horizon_shards.backends.sharded.order import comparable, nulls_first
from horizon_shards.backends.sharded.parts import Columns, Part
from horizon_shards.backends.sharded.plan import Merge
from horizon_shards.backends.sharded.policy import check_scatter

Row = Sequence[Any]


class ScatterCombined(RowsOfShards):
    """A set operation whose parts are on several shards."""

    #: Whether the columns that an enclosing set operation compares by are wanted, too.
    keeps_compared = False

    def pre_sql_setup(self, *args: Any, **kwargs: Any) -> Any:
        """Set up as Django does, and note the order of the whole."""
        result = super().pre_sql_setup(*args, **kwargs)  # type: ignore[misc]
        self.order_by = result[1]
        return result

    def prepare(self) -> None:
        """Compile as for one database, which raises what Django raises; then find out how the rows compare."""
        original = self.query
        self.query = original.clone()
        try:
            self.as_sql()  # type: ignore[attr-defined]
            self.keeps_repeats = self.query.combinator_all or self._leaves_one_part()
            self.parts = [Part(self._aligned(part), self.logical) for part in self.query.combined_queries]
        finally:
            self.query = original
        self.col_count = len(self.select)  # type: ignore[attr-defined]
        self._compare()

    def _leaves_one_part(self) -> bool:
        """Whether Django leaves out all parts but one, since they can find nothing, and so keeps repeats."""
        if self.query.combinator == "intersection" or (self.query.combinator == "union" and self.query.is_sliced):
            return False
        return sum(map(self._finds, self.query.combined_queries)) == 1

    def _finds(self, part: Any) -> bool:
        try:
            part.clone().get_compiler(connection=self.connection).as_sql()
        except EmptyResultSet:
            return False
        return True

    def _aligned(self, part: Any) -> Any:
        """The part with the columns that ``values()`` after the set operation asks for, as Django's compiler says."""
        part = part.clone()
        if self.query.selected is not None and part.selected is None:
            part.set_values(self.query.selected)
        return part

    def _compare(self) -> None:
        columns = Columns(self.parts, self.connection, self.query.combinator)
        columns.check_types()
        self.width = self.parts[0].width
        terms = [(term, self._index(term)) for term, _ in self.order_by]
        high = self._highest_wanted(columns)
        self.sorting = [part.can_sort([index for _, index in terms]) for part in self.parts]
        self.order = tuple(self._sort_column(columns, *term) for term in terms)
        self.identity = None if self.keeps_repeats else columns.identity()
        for part, sorts in zip(self.parts, self.sorting, strict=True):
            if sorts:
                part.sort(terms, high)

    def _index(self, term: Any) -> int:
        """The column that an ordering term names, by its alias: of the whole, or one that Django added to the parts."""
        name, start = getattr(term.expression, "refs", None), 0
        for column, _, alias in self.select:  # type: ignore[attr-defined]
            if alias is not None and alias == name:
                return start
            start += len(columns_of(column))
        if name is not None and name in self.parts[0].aliases:
            return self.parts[0].aliases.index(name)
        raise DatabaseError("ORDER BY term does not match any column in the result set.")

    def _sort_column(self, columns: Columns, term: Any, index: int) -> SortColumn:
        position, key = columns.compared(index, comparable)
        return SortColumn(position, term.descending, nulls_first(term, self.connection), key)

    def _highest_wanted(self, columns: Columns) -> int | None:
        """How many rows of each part can be wanted at most; None where it may be all."""
        query = self.query
        if query.combinator != "union" or query.high_mark is None:
            return None
        no_repeats = columns.indexes_of_pk() and all(part.is_one_table for part in self.parts)
        return int(query.high_mark) if query.combinator_all or no_repeats or query.high_mark == 1 else None

    def merged_rows(self, chunked: bool, chunk_size: int) -> Iterator[Row]:
        """The rows of the whole, in order, cut to the slice."""
        self.prepare()
        # Each part announces itself.
        check_scatter(self.plan, self.logical.group)
        streams = [
            part.rows(() if sorts else self.order, chunked, chunk_size)
            for part, sorts in zip(self.parts, self.sorting, strict=True)
        ]
        max_rows = self.logical.group.config.max_rows
        if self.query.combinator != "union":
            streams = [self._kept(streams[0], self._sets(streams[1:], max_rows))]
        rows = merge_rows(streams, self._spec(), max_rows=max_rows)
        if not chunked and self.query.high_mark is None:
            rows = _limited(rows, max_rows)
        width = self.width if self.keeps_compared else self._own_width()
        return (row[:width] for row in rows)

    def _own_width(self) -> int:
        select: list[Any] = self.select  # type: ignore[attr-defined]
        return sum(len(columns_of(column)) for column, _, _ in select)

    def _spec(self) -> MergeSpec:
        return MergeSpec(self.order, self.identity, self.query.low_mark, self.query.high_mark, self.width)

    def _kept(self, rows: Iterator[Row], others: list[set[Any]]) -> Iterator[Row]:
        """The rows of the first part that all others have, or that none has."""
        wanted: bool = self.query.combinator == "intersection"
        for row in rows:
            identity = self._identity_of(row)
            if all((identity in other) == wanted for other in others):
                yield row

    def _sets(self, streams: Sequence[Iterator[Row]], max_rows: int) -> list[set[Any]]:
        found: list[set[Any]] = []
        for rows in streams:
            found.append(set())
            for row in rows:
                found[-1].add(self._identity_of(row))
                if sum(map(len, found)) > max_rows:
                    raise too_many_rows(max_rows, "distinct rows")
        return found

    def _identity_of(self, row: Row) -> Any:
        return tuple([row[i] if key is None or row[i] is None else key(row[i]) for i, key in self.identity or ()])

    def explain_query(self) -> Iterator[str]:
        """The plan with its merge, then each part's own explanation."""
        self.prepare()
        yield from str(self.explained()).splitlines()
        for part in self.parts:
            part.query.explain_info = self.query.explain_info
            for line in part.query.get_compiler(connection=self.logical).explain_query():
                yield f"  {line}"

    def explained(self) -> Any:
        """The plan of the whole, once it is prepared."""
        merge = Merge((f"{self.query.combinator} of {len(self.parts)} parts", *self._spec().steps()))
        return replace(self.plan, merge=merge)


def _limited(rows: Iterator[Row], max_rows: int) -> Iterator[Row]:
    for number, row in enumerate(rows):
        if number >= max_rows:
            raise too_many_rows(max_rows, "rows")
        yield row
