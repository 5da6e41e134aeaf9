"""More mistakes put in on purpose: windows, groups, subqueries, joins in two steps, and federation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db.models.sql.constants import LOUTER
from django.db.models.sql.where import AND, WhereNode

from horizon_shards.backends.sharded import foreign, groups, joined, scatter, subqueries, units
from horizon_shards.backends.sharded.federation import gather, pushdown
from horizon_shards.backends.sharded.walk import contents_of
from tests.properties.faults_of_plans import shard_forgotten

Patch = pytest.MonkeyPatch
Fault = Callable[[Patch], None]


def window_on_each_shard(patch: Patch) -> None:
    """A window sees the rows of one shard."""
    patch.setattr(scatter, "check_windows", lambda query, tables: None)


def any_partition_is_whole(patch: Patch) -> None:
    """A window is computed on each shard where it has a partition, whatever it is by."""
    original = scatter.check_windows

    def check_windows(query: Any, tables: Any) -> None:
        windows = contents_of(query).windows
        if not all(window.partition_by for window in windows):
            original(query, tables)

    patch.setattr(scatter, "check_windows", check_windows)


def having_on_each_shard(patch: Patch) -> None:
    """The condition on groups is asked of each shard's part of a group."""
    original = groups.ScatterGroups.partial_query

    def partial_query(self: Any) -> Any:
        query = original(self)
        if self.having is not None:
            query.where = WhereNode([query.where, self.having], AND)
        return query

    patch.setattr(groups.ScatterGroups, "partial_query", partial_query)


def subquery_on_each_shard(patch: Patch) -> None:
    """Any subquery that refers to the outer row is taken for one on the same shard."""
    patch.setattr(subqueries, "_is_correlated", lambda query, inner, outer: True)


def unmatched_rows_dropped(patch: Patch) -> None:
    """A row whose related row elsewhere is missing is left out."""
    original = joined.Attachment.__init__
    patch.setattr(
        joined.Attachment, "__init__", lambda self, edge, many, *, drops: original(self, edge, many, drops=True)
    )


def matched_rows_repeated(patch: Patch) -> None:
    """A row is given twice for one related row elsewhere."""
    original = joined.Attachment.rows
    patch.setattr(joined.Attachment, "rows", lambda self, key: original(self, key) * 2)


def missing_rows_meet_nothing(patch: Patch) -> None:
    """A condition elsewhere holds for no row without a related one, also where it asks for NULL."""
    patch.setattr(units, "truth_of_nulls", lambda node, edge: False)


def first_related_row_for_all(patch: Patch) -> None:
    """``select_related()`` to another database gives every row the first instance that was fetched."""
    patch.setattr(
        foreign.ForeignRelation, "from_db", lambda self, db, names, values, **kwargs: next(iter(self.found.values()))
    )


def federation_misses_a_shard(patch: Patch) -> None:
    """Of a table, the rows of one shard are not gathered."""
    original = gather.Pull.chunks

    def chunks(self: Any, limit: int) -> Iterator[Any]:
        with Patch.context() as inner:
            shard_forgotten(inner)
            yield from original(self, limit)

    patch.setattr(gather.Pull, "chunks", chunks)


def federation_filters_by_either(patch: Patch) -> None:
    """Gathered are only rows that meet all conditions, also those that stand under OR and NOT."""

    def required(where: Any) -> Iterator[Any]:
        for child in where.children:
            if isinstance(child, WhereNode):
                yield from required(child)
            else:
                yield child

    patch.setattr(pushdown, "conjuncts", required)


def federation_filters_the_missing(patch: Patch) -> None:
    """The rows of an outer join's far side are filtered before the join."""
    patch.setattr(pushdown, "INNER", LOUTER)


PLAIN: tuple[Fault, ...] = (
    window_on_each_shard, any_partition_is_whole, having_on_each_shard, subquery_on_each_shard, unmatched_rows_dropped,
    matched_rows_repeated, missing_rows_meet_nothing, first_related_row_for_all,
)  # fmt: skip
#: Of federated queries.
FEDERATED: tuple[Fault, ...] = (federation_misses_a_shard, federation_filters_by_either)
