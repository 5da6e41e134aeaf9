"""Tools for the tests of projects: which shards a block asks, and placements that no test can rely on."""

from horizon_shards.testing.assertions import assert_no_repeats, assert_no_scatter, assert_shards, assert_single_shard
from horizon_shards.testing.capture import CapturedQueries, PlannedQuery, capture_shards
from horizon_shards.testing.placement import forget_placement, scrambled_placement
from horizon_shards.testing.redistribution import assert_no_redistribution

__all__ = [
    "CapturedQueries",
    "PlannedQuery",
    "assert_no_redistribution",
    "assert_no_repeats",
    "assert_no_scatter",
    "assert_shards",
    "assert_single_shard",
    "capture_shards",
    "forget_placement",
    "scrambled_placement",
]
