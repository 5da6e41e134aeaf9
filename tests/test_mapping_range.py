"""RangeMapping: neighbouring keys on one shard, as the settings state."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest

from horizon_shards.exceptions import ConfigurationError, InvalidShardKey, UnassignedKey
from horizon_shards.mapping import MappingShard, RangeMapping

SHARDS = [MappingShard("a"), MappingShard("b"), MappingShard("c")]


def make(*ranges: Any, **options: Any) -> RangeMapping:
    options = {"RANGES": list(ranges), **options}
    return RangeMapping(database="log", shards=SHARDS, directory=None, options=options)


NUMBERS = ((0, "a"), (100, "b"), (None, "c"))


@pytest.mark.parametrize(
    ("key", "shard"), [(-1, "a"), (0, "b"), (99, "b"), (100, "c"), (2**63 - 1, "c"), (-(2**63), "a")]
)
def test_an_upper_bound_is_excluded(key: int, shard: str) -> None:
    mapping = make(*NUMBERS)
    assert mapping.resolve(key) == mapping.place(key) == shard
    assert mapping.resolve_many([key]) == mapping.place_many([key]) == {key: shard}


@pytest.mark.parametrize(
    ("bound", "below", "above"),
    [
        (datetime.date(2026, 1, 1), datetime.date(2025, 12, 31), datetime.date(2026, 1, 1)),
        ("m", "Z", "m"),
        ("m  ", "lzz", "m "),
        (uuid.UUID(int=1 << 127), uuid.UUID(int=5), uuid.UUID(int=1 << 127)),
    ],
)
def test_other_types_of_keys(bound: Any, below: Any, above: Any) -> None:
    mapping = make((bound, "a"), (None, "b"))
    assert mapping.resolve(below) == "a"
    assert mapping.resolve(above) == "b"


def test_keys_beyond_the_last_bound_are_nowhere() -> None:
    mapping = make((0, "a"), (100, "b"))
    assert mapping.resolve(100) is None
    with pytest.raises(UnassignedKey, match=r"key 100 is beyond the last bound 100 .* add a range"):
        mapping.place(100)


@pytest.mark.parametrize("key", ["1", True, None, 1.0, datetime.date(2026, 1, 1), (1, 2)])
def test_a_key_of_another_type_than_the_bounds_is_refused(key: Any) -> None:
    with pytest.raises(InvalidShardKey):
        make(*NUMBERS).resolve(key)


@pytest.mark.parametrize(
    ("lower", "upper", "shards"),
    [
        (None, None, ("a", "b", "c")),
        (None, -1, ("a",)),
        (None, 0, ("a", "b")),
        (0, 99, ("b",)),
        (0, 100, ("b", "c")),
        (100, None, ("c",)),
        (-5, 200, ("a", "b", "c")),
        (50, 10, ("b",)),
        (150, -150, ()),
    ],
)
def test_a_range_of_keys_asks_the_shards_that_can_hold_them(lower: Any, upper: Any, shards: Any) -> None:
    assert make(*NUMBERS).narrow(lower, upper) == shards


def test_narrowing_never_loses_a_shard() -> None:
    mapping = make((-3, "a"), (2, "b"), (5, "a"))
    for lower in range(-6, 8):
        for upper in range(lower, 8):
            found = mapping.narrow(lower, upper)
            assert found is not None
            assert {mapping.resolve(key) for key in range(lower, upper + 1)} - {None} == set(found)


@pytest.mark.parametrize(("bound", "key"), [("m", "a"), (uuid.UUID(int=9), uuid.UUID(int=1))])
def test_what_a_database_may_order_otherwise_is_not_narrowed(bound: Any, key: Any) -> None:
    """``'B' < 'a'`` in Python and ``'a' < 'B'`` in most collations; MariaDB orders UUIDs by other bytes first."""
    assert make((bound, "a"), (None, "b")).narrow(key, key) is None


@pytest.mark.parametrize("bound", ["1", 1.5, True])
def test_a_bound_of_another_type_is_not_narrowed(bound: Any) -> None:
    assert make(*NUMBERS).narrow(bound, None) is None


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ([], "needs RANGES: a list of"),
        ("ab", "needs RANGES: a list of"),
        ([(1, "a", "b")], "must hold pairs"),
        ([5], "must hold pairs"),
        ([(1, "nowhere")], "names the shard 'nowhere', which SHARDS does not have"),
        ([(None, "a"), (1, "b")], "only the last bound may be None"),
        ([(None, "a"), (None, "a")], "only the last bound may be None"),
        ([(None, "a")], "needs at least one bound"),
        ([(2, "a"), (1, "b")], "must have rising bounds"),
        ([(1, "a"), (1, "b")], "must have rising bounds"),
        ([(1, "a"), ("x", "b")], "all int, all str"),
        ([(True, "a")], "all int, all str"),
        ([(datetime.datetime(2026, 1, 1), "a")], "all int, all str"),
    ],
)
def test_ranges_that_cannot_work_are_refused(ranges: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(RANGES=ranges)


def test_a_shard_without_a_range_is_a_problem() -> None:
    assert make((0, "a"), (None, "b")).problems() == [
        "Shard 'c' of 'log' has no range in OPTIONS['RANGES']: nothing is stored on it."
    ]
    assert make(*NUMBERS).problems() == []


def test_ids_still_carry_a_bucket_that_tells_no_shard() -> None:
    mapping = make(*NUMBERS, BUCKETS=64)
    assert 0 <= mapping.bucket(5) < 64
    assert mapping.shard_of_bucket(5) is None
