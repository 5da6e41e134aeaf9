"""Order without a total order: rows with equal sort keys form a block, and only inside it may they trade places."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tests.properties.canonical import Fold, canonical, contains_rows, identity, same_rows
from tests.properties.outcome import Row


@dataclass(frozen=True)
class Block:
    """The rows of one sort key, at the places ``start`` to ``stop``."""

    start: int
    stop: int
    rows: list[Any]


def split_keys(row: Any, keys: int, flat: bool) -> tuple[Any, tuple[Any, ...]]:
    """A row of :meth:`Query.keyed` as the row itself and its sort keys."""
    if not keys:
        return (row[0] if flat else row), ()
    if isinstance(row, Row):
        columns = {name: value for name, value in row.columns.items() if not name.startswith("_k")}
        return Row(row.model, row.home, columns, row.related), tuple(row.columns[f"_k{n}"] for n in range(keys))
    if isinstance(row, dict):
        values = {name: value for name, value in row.items() if not name.startswith("_k")}
        return values, tuple(row[f"_k{n}"] for n in range(keys))
    return (row[0] if flat else row[:-keys]), tuple(row[-keys:])


def make_blocks(keyed: Sequence[tuple[Any, tuple[Any, ...]]], fold: Fold = identity) -> list[Block]:
    """The blocks of rows that are already in order."""
    blocks: list[Block] = []
    for _, group in groupby(keyed, key=lambda pair: canonical(pair[1], fold)):
        rows = [row for row, _ in group]
        start = blocks[-1].stop if blocks else 0
        blocks.append(Block(start, start + len(rows), rows))
    return blocks


def misfit(found: Sequence[Any], blocks: Sequence[Block], start: int, stop: int | None, fold: Fold) -> str | None:
    """Why ``found`` cannot be the places ``start`` to ``stop`` of the ordered rows; None where it can."""
    length = blocks[-1].stop if blocks else 0
    expected = max(0, min(length, length if stop is None else stop) - start)
    if len(found) != expected:
        return f"{len(found)} rows instead of {expected}"
    for block in blocks:
        low, high = max(block.start, start), min(block.stop, start + expected)
        if low >= high:
            continue
        part = found[low - start : high - start]
        whole = low == block.start and high == block.stop
        fits = same_rows(part, block.rows, fold, loose=True) if whole else contains_rows(block.rows, part, fold)
        if not fits:
            return f"wrong rows at the places {low} to {high}, where these belong: {reprlib.repr(block.rows)}"
    return None
