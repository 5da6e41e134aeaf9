"""Text in an order that PostgreSQL alone knows: it ranks the values that meet in a merge."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Any

from horizon_shards.backends.sharded.merge import Row, SortColumn, sort_key

#: Rows of each shard whose texts are ranked together.
CHUNK = 1_000
#: Runs one statement that reads no table on a shard.
Ask = Callable[[str, Sequence[Any]], list[Row]]


def needs_ranks(order: Iterable[SortColumn]) -> bool:
    """Whether a term compares texts that the database has to rank."""
    return any(column.collate is not None for column in order)


def with_ranks(order: Sequence[SortColumn], rows: Iterable[Row], ask: Ask) -> tuple[SortColumn, ...]:
    """The terms with keys for the values of these rows; one statement for each term that needs it."""
    rows = list(rows)
    return tuple(
        column if column.collate is None else replace(column, key=_ranks(column, rows, ask).__getitem__)
        for column in order
    )


def _ranks(column: SortColumn, rows: list[Row], ask: Ask) -> dict[Any, int]:
    texts = list({row[column.index] for row in rows} - {None})
    if len(texts) < 2:
        return dict.fromkeys(texts, 0)
    table = "unnest(%s::text[]) WITH ORDINALITY AS given (v, n)"
    sql = f"SELECT n, dense_rank() OVER (ORDER BY v{column.collate}) FROM {table}"  # noqa: S608
    return {texts[number - 1]: rank for number, rank in ask(sql, [texts])}


def merge_ranked(streams: Sequence[Iterable[Row]], order: Sequence[SortColumn], ask: Ask) -> Iterator[Row]:
    """The rows of sorted streams in order; holds ``CHUNK`` rows of each at most, and has those ranked together."""
    sources = [iter(stream) for stream in streams]
    held: list[deque[Row]] = [deque() for _ in sources]
    going = set(range(len(sources)))
    while True:
        for place in [place for place in going if not held[place]]:
            held[place].extend(islice(sources[place], CHUNK))
            if not held[place]:
                going.discard(place)
        if not any(held):
            return
        key = sort_key(with_ranks(order, (row for rows in held for row in rows), ask))
        yield from _merge_until_one_ends(held, going, key)


def _merge_until_one_ends(held: list[deque[Row]], going: set[int], key: Callable[[Row], Any]) -> Iterator[Row]:
    """Merge what is held until a stream that may have more rows has none left."""
    heap = [(key(rows[0]), place) for place, rows in enumerate(held) if rows]
    heapify(heap)
    while heap:
        _, place = heappop(heap)
        yield held[place].popleft()
        if held[place]:
            heappush(heap, (key(held[place][0]), place))
        elif place in going:
            return
