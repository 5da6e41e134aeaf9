"""BucketMapping: keys by frozen hash to buckets, buckets by a table that is seeded once to shards."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction

from horizon_shards.directory import Directory
from horizon_shards.exceptions import (
    ConfigurationError,
    DirectoryUnavailable,
    InvalidShardKey,
    UnassignedKey,
    UnknownShard,
)
from horizon_shards.mapping import BucketMapping, MappingShard
from tests.fresh_directory import fresh_directory

A, B, C = MappingShard("a"), MappingShard("b"), MappingShard("c")


@pytest.fixture
def directory(tmp_path: Path, django_db_blocker: Any) -> Iterator[Directory]:
    with django_db_blocker.unblock(), fresh_directory(tmp_path) as alias:
        yield Directory(alias, database="track")


def make(directory: Directory | None, *shards: MappingShard, **options: Any) -> BucketMapping:
    return BucketMapping(database="track", shards=shards, directory=directory, options={"BUCKETS": 8, **options})


def move(directory: Directory, bucket: int, shard: str) -> None:
    with connections[directory.alias].cursor() as cursor:
        cursor.execute("UPDATE horizon_shards_bucket SET shard = %s WHERE bucket = %s", [shard, bucket])


class TestBuckets:
    @pytest.mark.parametrize(
        ("key", "bucket"), [(0, 3_251), (-1, 1_191), (2**63 - 1, 3_281), ("", 3_806), ("acme", 2_724), ((1, 2), 787)]
    )
    def test_buckets_are_frozen(self, key: object, bucket: int) -> None:
        mapping = BucketMapping(database="track", shards=[A], directory=None, options={})
        assert mapping.buckets == 4_096
        assert mapping.bucket(key) == bucket

    def test_keys_spread_evenly(self) -> None:
        mapping = BucketMapping(database="track", shards=[A, B, C], directory=None, options={})
        found = list(mapping.resolve_many(range(30_000)).values())
        assert all(9_500 < found.count(name) < 10_500 for name in "abc")

    @pytest.mark.parametrize("method", ["resolve", "place", "bucket"])
    def test_a_key_of_a_wrong_type_is_refused(self, method: str) -> None:
        with pytest.raises(InvalidShardKey, match="bool"):
            getattr(make(None, A), method)(True)

    @pytest.mark.parametrize("value", [0, 16_385, True, "64", None])
    def test_a_number_of_buckets_that_ids_cannot_carry_is_refused(self, value: object) -> None:
        with pytest.raises(ConfigurationError, match=r"\['BUCKETS'\] must be from 1 to 16384"):
            make(None, A, BUCKETS=value)

    def test_an_unknown_option_names_the_nearest(self) -> None:
        with pytest.raises(ConfigurationError, match=r"'BUKETS': did you mean 'BUCKETS'\?"):
            make(None, A, BUKETS=3)


class TestStatic:
    def test_the_settings_give_the_table(self) -> None:
        mapping = make(None, A, MappingShard("b", weight=3))
        assert [mapping.shard_of_bucket(bucket) for bucket in range(8)] == list("aabbbbbb")
        assert mapping.resolve("k") == mapping.place("k") == mapping.shard_of_bucket(mapping.bucket("k"))
        mapping.clear_cache()
        assert mapping.place("k") == mapping.resolve("k")

    def test_a_check_warns_that_the_shards_must_stay(self) -> None:
        problems = make(None, A, MappingShard("b", accepts_new_keys=False)).problems()
        assert "'track'] has no DIRECTORY" in problems[0]
        assert problems[1:] == ["ACCEPTS_NEW_KEYS of shard 'b' has no effect without a DIRECTORY."]

    def test_a_directory_that_is_added_later_moves_nothing(self, directory: Directory) -> None:
        static, stored = make(None, A, B, C), make(directory, A, B, C)
        assert stored.place_many(range(100)) == static.place_many(range(100))


class TestStored:
    def test_reading_seeds_nothing(self, directory: Directory) -> None:
        mapping = make(directory, A, B)
        assert mapping.resolve(1) in "ab"
        assert mapping.resolve_many([1]) == {1: mapping.resolve(1)}
        assert directory.bucket_table() == ()

    def test_the_first_write_seeds_the_table(self, directory: Directory) -> None:
        mapping = make(directory, A, B)
        before = mapping.resolve(1)
        assert mapping.place(1) == before
        assert directory.bucket_table() == tuple("aaaabbbb")

    def test_placing_a_bucket_that_an_id_names_seeds_too(self, directory: Directory) -> None:
        assert make(directory, A, B).place_bucket(7) == "b"
        assert directory.bucket_table() == tuple("aaaabbbb")

    def test_shards_that_accept_no_new_keys_get_no_bucket(self, directory: Directory) -> None:
        make(directory, A, MappingShard("b", accepts_new_keys=False), C).place(1)
        assert directory.bucket_table() == tuple("aaaacccc")

    def test_no_shard_that_accepts_keys(self, directory: Directory) -> None:
        with pytest.raises(UnassignedKey, match="No shard of 'track' accepts new keys"):
            make(directory, MappingShard("a", accepts_new_keys=False)).place(1)

    def test_a_shard_that_is_added_to_the_settings_moves_nothing(self, directory: Directory) -> None:
        before = make(directory, A, B).place_many(range(100))
        after = make(directory, C, A, B)
        assert after.place_many(range(100)) == after.resolve_many(range(100)) == before
        assert after.problems() == [
            "Shard 'c' of 'track' holds no bucket: nothing is stored on it until some are moved."
        ]

    def test_a_shard_that_the_settings_lost_is_named(self, directory: Directory) -> None:
        place = make(directory, A, B).place_many(range(100))
        mapping = make(directory, A)
        lost, kept = (next(key for key, shard in place.items() if shard == name) for name in "ba")
        for ask in (mapping.resolve, mapping.place):
            assert ask(kept) == "a"
            with pytest.raises(UnknownShard, match=r"Bucket \d of 'track' is on the shard 'b', which SHARDS"):
                ask(lost)
        assert "keeps 4 buckets of 'track' on the shard 'b'" in mapping.problems()[0]

    def test_another_number_of_buckets_is_refused(self, directory: Directory) -> None:
        make(directory, A, B).place(1)
        mapping = make(directory, A, B, BUCKETS=16)
        with pytest.raises(ConfigurationError, match="is 16, but the table in the directory has 8 buckets"):
            mapping.resolve(1)
        with pytest.raises(ConfigurationError, match="set it to 8"):
            mapping.place(1)
        assert "is 16, but the directory has 8" in mapping.problems()[-1]

    def test_two_processes_that_seed_with_different_numbers_of_buckets(self, directory: Directory) -> None:
        """The loser of the race must not go on with a table of its own."""
        loser = make(directory, A, B, BUCKETS=16)
        assert loser.resolve(1) in "ab"
        make(directory, A, B).place(1)
        with pytest.raises(ConfigurationError, match="has 8 buckets"):
            loser.place(1)

    def test_a_number_that_is_no_bucket_tells_nothing(self, directory: Directory) -> None:
        mapping = make(directory, A)
        assert mapping.shard_of_bucket(8) is None
        assert mapping.shard_of_bucket(-1) is None
        with pytest.raises(UnassignedKey, match="Bucket 8 of 'track' has no shard"):
            mapping.place_bucket(8)

    def test_a_rollback_of_the_caller_keeps_the_table(self, directory: Directory, tmp_path: Path) -> None:
        with fresh_directory(tmp_path) as callers, transaction.atomic(using=callers):
            make(directory, A, B).place(1)
            transaction.set_rollback(True, using=callers)
        assert directory.bucket_table() == tuple("aaaabbbb")


class TestCache:
    def test_the_table_is_read_anew_when_it_is_old(self, directory: Directory) -> None:
        lasting, short = make(directory, A, B), make(directory, A, B, CACHE_SECONDS=0)
        key = next(key for key in range(100) if lasting.bucket(key) == 0)
        assert lasting.place(key) == short.place(key) == "a"
        move(directory, 0, "b")
        assert short.resolve(key) == short.place(key) == "b"
        assert lasting.resolve(key) == "a"
        lasting.clear_cache()
        assert lasting.resolve(key) == "b"

    def test_a_directory_that_goes_away_does_not_take_the_table_along(self, directory: Directory) -> None:
        mapping = make(directory, A, B, CACHE_SECONDS=0)
        placed = mapping.place_many(range(20))
        name = connections.settings[directory.alias]["NAME"]
        connections.settings[directory.alias]["NAME"] = f"{name}_gone/no"
        try:
            assert mapping.resolve_many(range(20)) == placed
            assert "did not answer" in mapping.problems()[0]
            mapping.clear_cache()
            with pytest.raises(DirectoryUnavailable):
                mapping.resolve(1)
        finally:
            connections.settings[directory.alias]["NAME"] = name

    def test_threads_read_while_the_table_changes(self, directory: Directory) -> None:
        mapping = make(directory, A, B, CACHE_SECONDS=0)
        mapping.place(1)

        def work(number: int) -> set[str | None]:
            if number == 0:
                for _ in range(20):
                    mapping.clear_cache()
            return {mapping.shard_of_bucket(bucket) for _ in range(10) for bucket in range(8)}

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(work, range(4))) == [{"a", "b"}] * 4
