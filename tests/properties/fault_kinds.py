"""The kinds of query among which a fault is looked for: all others only take time."""

from __future__ import annotations

from tests.properties import faults, faults_elsewhere, faults_of_plans
from tests.properties.faults import Fault

KINDS: dict[str, tuple[Fault, ...]] = {
    "sliced": (
        faults.offset_pushed_down, faults.offset_ignored, faults.limit_ignored, faults.slice_ignored_in_count,
    ),
    "ordered": (
        faults.order_ignored, faults.last_order_term_ignored, faults.descending_ignored, faults.text_without_case,
        faults.merge_without_heap,
    ),
    "order with nulls": (faults.nulls_at_the_wrong_end,),
    "distinct": (faults.duplicates_kept, faults.distinct_by_first_column),
    "set operation": (faults.union_keeps_duplicates, faults.difference_is_intersection),
    "Avg": (faults.average_of_averages,),
    "Count": (faults.count_of_one_shard,),
    "Count distinct": (faults.distinct_counts_added,),
    "Sum distinct": (faults.distinct_counts_added,),
    "Avg distinct": (faults.distinct_counts_added,),
    "write": (faults_of_plans.write_count_of_one_shard, faults_of_plans.write_on_the_first_shard),
    "group": (faults.groups_not_put_together,),
    "having": (faults.having_ignored, faults_elsewhere.having_on_each_shard),
    "expression over groups": (faults.expressions_not_computed,),
    "aggregate of a subquery": (faults.last_inner_row_lost,),
    "subquery": (faults.null_among_values_forgotten, faults.last_value_forgotten),
    "subquery elsewhere": (
        faults.null_among_values_forgotten, faults.last_value_forgotten, faults_elsewhere.subquery_on_each_shard,
    ),
    "window over shards": (faults_elsewhere.window_on_each_shard, faults_elsewhere.any_partition_is_whole),
    "select_related": (faults_elsewhere.first_related_row_for_all,),
}  # fmt: skip


def kinds_of(fault: Fault) -> frozenset[str]:
    """The kinds of query that may meet the fault; empty where any may."""
    return frozenset(kind for kind, found in KINDS.items() if fault in found)
