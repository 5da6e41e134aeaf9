"""Mistakes that a sharded database can make, put into the backend on purpose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.db.models import Avg, Count, Min

from horizon_shards.backends.sharded import (
    aggregates,
    apart,
    combined,
    finish,
    layout,
    merge,
    rows,
    scatter,
    splits,
    steps,
)
from horizon_shards.backends.sharded.partials import Partial

Patch = pytest.MonkeyPatch
Fault = Callable[[Patch], None]


def offset_pushed_down(patch: Patch) -> None:
    """Each shard skips OFFSET rows of its own, and the merge skips none."""
    patch.setattr(
        scatter.ScatterSelect, "as_sql", lambda self, *a, **k: super(scatter.ScatterSelect, self).as_sql(*a, **k)
    )
    _respecify(patch, lambda spec: replace(spec, low=0, high=None if spec.high is None else spec.high - spec.low))


def offset_ignored(patch: Patch) -> None:
    """The merge begins with the first row."""
    _respecify(patch, lambda spec: replace(spec, low=0))


def limit_ignored(patch: Patch) -> None:
    """Each shard cuts its rows, the merge does not."""
    _respecify(patch, lambda spec: replace(spec, high=None))


def order_ignored(patch: Patch) -> None:
    """The shards' rows come one shard after the other."""
    _respecify(patch, lambda spec: replace(spec, order=()))


def last_order_term_ignored(patch: Patch) -> None:
    """The merge compares by all terms of ORDER BY but the last."""
    _respecify(patch, lambda spec: replace(spec, order=spec.order[:-1]) if len(spec.order) > 1 else spec)


def descending_ignored(patch: Patch) -> None:
    """The merge takes every term as ascending."""
    _respecify(patch, lambda spec: replace(spec, order=tuple(replace(term, descending=False) for term in spec.order)))


def nulls_at_the_wrong_end(patch: Patch) -> None:
    """NULLs last where the database has them first."""
    _respecify(
        patch,
        lambda spec: replace(spec, order=tuple(replace(term, nulls_first=not term.nulls_first) for term in spec.order)),
    )


def text_without_case(patch: Patch) -> None:
    """Text is merged as if upper and lower case were equal, on a database that tells them apart."""
    lower = lambda value: value.lower() if isinstance(value, str) else value  # noqa: E731
    _respecify(patch, lambda spec: replace(spec, order=tuple(replace(term, key=lower) for term in spec.order)))


def merge_without_heap(patch: Patch) -> None:
    """The shards take turns instead of being compared."""
    patch.setattr(
        merge.heapq, "merge", lambda *streams, key: (row for rows in zip(*streams, strict=False) for row in rows)
    )


def duplicates_kept(patch: Patch) -> None:
    """DISTINCT holds on each shard only."""
    _respecify(patch, lambda spec: replace(spec, distinct=None))


def distinct_by_first_column(patch: Patch) -> None:
    """DISTINCT compares the first column alone."""
    _respecify(patch, lambda spec: replace(spec, distinct=None if spec.distinct is None else spec.distinct[:1]))


def union_keeps_duplicates(patch: Patch) -> None:
    """union() is union(all=True)."""
    original = combined.ScatterCombined._spec
    patch.setattr(combined.ScatterCombined, "_spec", lambda self: replace(original(self), distinct=None))


def difference_is_intersection(patch: Patch) -> None:
    """difference() keeps what it should leave out."""
    patch.setattr(combined.ScatterCombined, "_kept", lambda self, rows, others: rows)


def slice_ignored_in_count(patch: Patch) -> None:
    """``count()`` of a slice counts all rows."""
    original = aggregates.ScatterCount.execute_sql

    def execute_sql(self: Any, *args: Any, **kwargs: Any) -> Any:
        self.query = self.query.clone()
        self.query.inner_query = self.query.inner_query.clone()
        self.query.inner_query.clear_limits()
        return original(self, *args, **kwargs)

    patch.setattr(aggregates.ScatterCount, "execute_sql", execute_sql)


def average_of_averages(patch: Patch) -> None:
    """Avg is the mean of the shards' averages."""

    def combine(rows: list[Any]) -> Any:
        values = [value for (value,) in rows if value is not None]
        return sum(values[1:], values[0]) / len(values) if values else None

    patch.setitem(splits.SPLIT, Avg, lambda aggregate, connection: Partial((aggregate,), combine))


def count_of_one_shard(patch: Patch) -> None:
    """Count is the largest of the shards' counts."""

    def combine(rows: list[Any]) -> Any:
        return max(n for (n,) in rows)

    patch.setitem(splits.SPLIT, Count, lambda aggregate, connection: Partial((aggregate,), combine))


def minimum_of_the_first(patch: Patch) -> None:
    """Min is what the first shard with a value says."""

    def combine(rows: list[Any]) -> Any:
        return next((value for (value, *_) in rows if value is not None), None)

    patch.setitem(splits.SPLIT, Min, lambda aggregate, connection: Partial((aggregate,), combine))


def distinct_counts_added(patch: Patch) -> None:
    """Count(distinct) is the sum of the shards' own, as if no value were on two shards."""
    patch.setattr(apart, "names_its_shard", lambda expression, tables: True)


def expressions_not_computed(patch: Patch) -> None:
    """What is computed of aggregates is computed for the first group alone."""
    original = finish.Finish.apply

    def apply(self: Any, groups: Any, ask: Any) -> Any:
        return original(self, groups[:1], ask) + groups[1:] if self.expressions and not self.test else groups

    patch.setattr(finish.Finish, "apply", apply)


def last_inner_row_lost(patch: Patch) -> None:
    """Of rows that are sent to be aggregated, the last is left out."""
    original = rows.table_of
    patch.setattr(
        rows, "table_of", lambda found, columns, connection: original(found[:-1] or found, columns, connection)
    )


def groups_not_put_together(patch: Patch) -> None:
    """The partial groups of the shards stand beside each other."""
    patch.setattr(layout.Layout, "identity", lambda self, row: object())


def having_ignored(patch: Patch) -> None:
    """The condition on whole groups keeps every group."""
    patch.setattr(finish.Finish, "_test", lambda self, condition: None)


def null_among_values_forgotten(patch: Patch) -> None:
    """NOT IN is true of a row although one of the values of the query elsewhere is NULL."""
    original = steps.values_of
    patch.setattr(
        steps, "values_of", lambda *args, **kwargs: [one for one in original(*args, **kwargs) if one is not None]
    )


def last_value_forgotten(patch: Patch) -> None:
    """One value of the query elsewhere is not bound."""
    original = steps.values_of
    patch.setattr(steps, "values_of", lambda *args, **kwargs: original(*args, **kwargs)[:-1])


def _respecify(patch: Patch, change: Callable[[Any], Any]) -> None:
    original = scatter.merge_rows

    def merge_rows(streams: Any, spec: Any, *, max_rows: int) -> Any:
        return original(streams, change(spec), max_rows=max_rows)

    patch.setattr(scatter, "merge_rows", merge_rows)


FAULTS: tuple[Fault, ...] = (
    offset_pushed_down, offset_ignored, limit_ignored, order_ignored, last_order_term_ignored, descending_ignored,
    nulls_at_the_wrong_end, text_without_case, merge_without_heap, duplicates_kept, distinct_by_first_column,
    slice_ignored_in_count, average_of_averages, count_of_one_shard,
    distinct_counts_added,
    expressions_not_computed, last_inner_row_lost, groups_not_put_together, having_ignored,
    union_keeps_duplicates, difference_is_intersection,
    null_among_values_forgotten, last_value_forgotten,
)  # fmt: skip
