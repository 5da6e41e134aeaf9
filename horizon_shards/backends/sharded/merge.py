"""Merging the rows of several shards: by order, without duplicates, a slice of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from horizon_shards.backends.sharded.keys import Descending
from horizon_shards.exceptions import RowLimitExceeded

Row = Sequence[Any]
KeyFunction = Callable[[Row], Any]


@dataclass(frozen=True, slots=True)
class SortColumn:
    """One term of ORDER BY: where its value stands in the row, and how it compares.

    ``collate``: the database has to rank its texts, by ``ORDER BY v`` and this SQL; ``key`` is not known before.
    """

    index: int
    descending: bool
    nulls_first: bool
    key: Callable[[Any], Any] | None
    collate: str | None = None


@dataclass(frozen=True, slots=True)
class MergeSpec:
    """What the merged rows must be: sorted, distinct by ``distinct`` columns, cut, and of ``width`` columns."""

    order: tuple[SortColumn, ...]
    distinct: tuple[tuple[int, Callable[[Any], Any] | None], ...] | None
    low: int
    high: int | None
    width: int

    def steps(self) -> tuple[str, ...]:
        """The merge in words."""
        steps = [f"in order of {len(self.order)} term(s), streaming" if self.order else "one shard after the other"]
        if any(column.collate is not None for column in self.order):
            steps.append("texts ranked by one shard, some thousand rows at a time")
        if self.distinct is not None:
            steps.append("without duplicates")
        if self.low or self.high is not None:
            steps.append(f"rows {self.low} to {'the end' if self.high is None else self.high}")
        return tuple(steps)


def merge_rows(streams: Sequence[Iterable[Row]], spec: MergeSpec, *, max_rows: int) -> Iterator[Row]:
    """One stream of rows out of one a shard; holds one row a shard, and for DISTINCT what was seen."""
    in_order = spec.order and len(streams) > 1
    rows: Iterator[Row]
    rows = heapq.merge(*streams, key=sort_key(spec.order)) if in_order else chain.from_iterable(streams)
    if spec.distinct is not None:
        rows = distinct_rows(rows, spec.distinct, max_rows)
    if spec.low or spec.high is not None:
        rows = islice(rows, spec.low, spec.high)
    return rows


def sort_key(order: Sequence[SortColumn]) -> KeyFunction:
    """A function from a row to something that sorts as ORDER BY does."""
    terms = [_term(column) for column in order]
    if len(terms) == 1:
        return terms[0]
    return lambda row: tuple([term(row) for term in terms])


def _term(column: SortColumn) -> KeyFunction:
    index, key = column.index, column.key
    null = (0, 0) if column.nulls_first else (2, 0)

    def ascending(row: Row) -> Any:
        value = row[index]
        if value is None:
            return null
        return (1, value if key is None else key(value))

    def descending(row: Row) -> Any:
        value = row[index]
        if value is None:
            return null
        return (1, Descending(value if key is None else key(value)))

    return descending if column.descending else ascending


def distinct_rows(
    rows: Iterable[Row], columns: Sequence[tuple[int, Callable[[Any], Any] | None]], max_rows: int
) -> Iterator[Row]:
    """The first row of each that are equal in ``columns``; raises where there are more than ``max_rows``."""
    seen: set[Any] = set()
    for row in rows:
        identity = tuple(
            [row[i] if key is None or row[i] is None else key(row[i]) for i, key in columns],
        )
        if identity not in seen:
            seen.add(identity)
            if len(seen) > max_rows:
                raise too_many_rows(max_rows, "distinct rows")
            yield row


def too_many_rows(max_rows: int, what: str) -> RowLimitExceeded:
    """The error of a merge that would hold too much."""
    return RowLimitExceeded(
        f"The merge would hold more than MAX_ROWS = {max_rows} {what} in memory: slice the query, name the shard key, "
        "use iterator(), or raise MAX_ROWS."
    )
