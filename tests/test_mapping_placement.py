"""How shards share buckets and new keys. Frozen: without a directory, the static assignment is this."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from horizon_shards.mapping import MappingShard
from horizon_shards.mapping.placement import contiguous, rendezvous

A, B, C = MappingShard("a"), MappingShard("b"), MappingShard("c", weight=2)


@pytest.mark.parametrize(
    ("shards", "buckets", "runs"),
    [
        ([A], 4_096, [("a", 4_096)]),
        ([A, B], 4_096, [("a", 2_048), ("b", 2_048)]),
        ([A, B, MappingShard("c")], 4_096, [("a", 1_365), ("b", 1_365), ("c", 1_366)]),
        ([A, B, C], 10, [("a", 2), ("b", 3), ("c", 5)]),
        ([C, A], 64, [("c", 42), ("a", 22)]),
        ([MappingShard("a", weight=1), MappingShard("b", weight=99)], 10, [("b", 10)]),
    ],
)
def test_runs_of_buckets_are_frozen(shards: list[MappingShard], buckets: int, runs: list[tuple[str, int]]) -> None:
    table = contiguous(shards, buckets=buckets)
    assert [(name, len(list(run))) for name, run in groupby(table)] == runs


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 16_384))
def test_no_shard_is_off_its_share_by_a_whole_bucket(weights: list[int], buckets: int) -> None:
    shards = [MappingShard(f"s{n}", weight) for n, weight in enumerate(weights)]
    table = contiguous(shards, buckets=buckets)
    assert len(table) == buckets
    counts = Counter(table)
    for shard in shards:
        assert abs(counts[shard.name] - shard.weight * buckets / sum(weights)) < 1


def test_rendezvous_is_frozen() -> None:
    chosen = "".join(rendezvous(b"i%d" % key, [A, B, C]) for key in range(60))
    assert chosen == "ccacbcbcbabbcbaccabcbcccbccacccbbbccbccccbccbccaabcaccabcacc"


def test_rendezvous_does_not_depend_on_the_order_of_the_settings() -> None:
    for key in range(200):
        assert rendezvous(b"i%d" % key, [A, B, C]) == rendezvous(b"i%d" % key, [C, B, A])


def test_rendezvous_follows_the_weights() -> None:
    counts = Counter(rendezvous(b"i%d" % key, [A, B, C]) for key in range(20_000))
    assert 4_700 < counts["a"] < 5_300
    assert 4_700 < counts["b"] < 5_300
    assert 9_700 < counts["c"] < 10_300


def test_a_new_shard_takes_keys_and_moves_none_between_the_others() -> None:
    for key in range(1_000):
        after = rendezvous(b"i%d" % key, [A, B, C, MappingShard("d")])
        assert after in ("d", rendezvous(b"i%d" % key, [A, B, C]))
