"""DirectoryMapping: a stored assignment a key, allocated once, outside of the caller's transaction."""

from __future__ import annotations

import threading
from collections import Counter
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
from horizon_shards.mapping import DirectoryMapping, MappingShard
from horizon_shards.mapping.hashing import stored_text
from horizon_shards.signals import key_allocated
from tests.fresh_directory import fresh_directory, run_processes
from tests.listening import heard

A, B, FULL = MappingShard("a"), MappingShard("b", weight=3), MappingShard("full", accepts_new_keys=False)


@pytest.fixture
def directory(tmp_path: Path, django_db_blocker: Any) -> Iterator[Directory]:
    with django_db_blocker.unblock(), fresh_directory(tmp_path) as alias:
        yield Directory(alias, database="crm")


@pytest.fixture
def queries(directory: Directory, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many keys each lookup in the directory asked for."""
    asked: list[int] = []
    real = Directory.lookup

    def lookup(self: Directory, keys: Any) -> dict[str, str]:
        asked.append(len(keys))
        return real(self, keys)

    monkeypatch.setattr(Directory, "lookup", lookup)
    return asked


def make(directory: Directory | None, *shards: MappingShard, **options: Any) -> DirectoryMapping:
    return DirectoryMapping(database="crm", shards=shards or (A, B, FULL), directory=directory, options=options)


class TestResolving:
    def test_reading_allocates_nothing(self, directory: Directory) -> None:
        mapping = make(directory)
        assert mapping.resolve("acme") is None
        assert mapping.resolve_many(["acme", 1]) == {"acme": None, 1: None}
        assert directory.counts() == {}

    def test_a_key_that_is_unknown_now_is_asked_for_again(self, directory: Directory) -> None:
        reader, writer = make(directory), make(directory)
        assert reader.resolve("acme") is None
        shard = writer.place("acme")
        assert reader.resolve("acme") == shard

    def test_known_keys_come_from_the_cache(self, directory: Directory, queries: list[int]) -> None:
        mapping = make(directory)
        placed = mapping.place_many(range(400))
        assert queries == [400]
        assert mapping.resolve_many(range(400)) == placed
        assert mapping.place(3) == placed[3]
        assert queries == [400]

    def test_many_keys_are_one_lookup(self, directory: Directory, queries: list[int]) -> None:
        make(directory).place_many(range(400))
        reader = make(directory)
        assert None not in reader.resolve_many(range(400)).values()
        assert queries[1:] == [400]

    def test_the_cache_is_bounded(self, directory: Directory) -> None:
        mapping = make(directory, CACHE_SIZE=10)
        placed = mapping.place_many(range(50))
        assert len(mapping._cache) == 10
        assert mapping.resolve_many(range(50)) == placed

    def test_keys_that_differ_by_trailing_spaces_are_on_one_shard(self, directory: Directory) -> None:
        placed = make(directory).place_many(["acme", "acme  "])
        assert placed["acme"] == placed["acme  "]
        assert sum(directory.counts().values()) == 1

    def test_an_old_entry_is_asked_for_again(self, directory: Directory) -> None:
        mapping = make(directory, CACHE_SECONDS=0)
        before = mapping.place("acme")
        after = {"a": "b", "b": "a"}[before]
        with connections[directory.alias].cursor() as cursor:
            cursor.execute("UPDATE horizon_shards_assignment SET shard = %s", [after])
        assert mapping.resolve("acme") == after

    def test_a_directory_that_goes_away_does_not_take_known_keys_along(self, directory: Directory) -> None:
        mapping = make(directory, CACHE_SECONDS=0)
        placed = mapping.place("acme")
        name = connections.settings[directory.alias]["NAME"]
        connections.settings[directory.alias]["NAME"] = f"{name}_gone/no"
        try:
            assert mapping.resolve("acme") == placed
            with pytest.raises(DirectoryUnavailable):
                mapping.resolve_many(["acme", "other"])
            assert "did not answer" in mapping.problems()[0]
        finally:
            connections.settings[directory.alias]["NAME"] = name

    def test_a_key_of_a_wrong_type_is_refused(self, directory: Directory) -> None:
        with pytest.raises(InvalidShardKey, match="float"):
            make(directory).place(1.5)
        assert directory.counts() == {}


class TestAllocating:
    def test_new_keys_go_by_weight_to_shards_that_accept_them(self, directory: Directory) -> None:
        counts = Counter(make(directory).place_many(range(2_000)).values())
        assert set(counts) == {"a", "b"}
        assert 400 < counts["a"] < 600

    def test_the_choice_is_the_same_in_every_process(self, directory: Directory) -> None:
        mapping = make(directory)
        assert "".join(mapping.choice(key) for key in range(40)) == "bbbbbabababbbbabbabbbbbbbbbaabbbbbabbabb"
        assert mapping.place("acme") == mapping.choice("acme")

    def test_an_assigned_key_stays_when_the_shards_change(self, directory: Directory) -> None:
        before = make(directory, A, B).place_many(range(100))
        after = make(directory, FULL, MappingShard("a", accepts_new_keys=False), MappingShard("b"), MappingShard("c"))
        assert after.place_many(range(100)) == before
        assert set(after.place_many(range(100, 200)).values()) == {"b", "c"}

    def test_no_shard_that_accepts_keys(self, directory: Directory) -> None:
        make(directory, A).place("old")
        mapping = make(directory, MappingShard("a", accepts_new_keys=False))
        assert mapping.place("old") == "a"
        with pytest.raises(UnassignedKey, match="No shard of 'crm' accepts new keys"):
            mapping.place("new")
        assert mapping.problems() == ["No shard of 'crm' accepts new keys: a row with a new key will be refused."]

    def test_a_shard_that_the_settings_lost_is_named(self, directory: Directory) -> None:
        make(directory, A).place("acme")
        mapping = make(directory, B)
        for ask in (mapping.resolve, mapping.place):
            with pytest.raises(UnknownShard, match="Key 'acme' of 'crm' is on the shard 'a', which SHARDS"):
                ask("acme")
        assert "keeps 1 keys of 'crm' on the shard 'a'" in mapping.problems()[0]

    def test_a_signal_tells_of_each_new_key_once(self, directory: Directory) -> None:
        with heard(key_allocated, "sender", "key", "shard") as told:
            mapping = make(directory)
            first = mapping.place("acme")
            placed = mapping.place_many(["acme", ("eu", 1)])
        assert told == [("crm", "acme", first), ("crm", ("eu", 1), placed[("eu", 1)])]

    def test_a_rollback_of_the_caller_keeps_the_assignment(self, directory: Directory, tmp_path: Path) -> None:
        with fresh_directory(tmp_path) as callers, transaction.atomic(using=callers):
            placed = make(directory).place_many(range(200))
            transaction.set_rollback(True, using=callers)
        assert make(directory).resolve_many(range(200)) == placed

    def test_threads_that_place_new_keys_agree(self, directory: Directory) -> None:
        """Each thread has a mapping with other shards, so that they would not agree by their choice."""
        mappings = [make(directory, *(MappingShard(name) for name in "ab"[: 1 + n % 2])) for n in range(4)]
        barrier = threading.Barrier(4)

        def work(number: int) -> list[str]:
            barrier.wait()
            found = []
            for key in range(40):
                try:
                    found.append(mappings[number].place(key))
                except UnknownShard:
                    found.append("b")
            return found

        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(work, range(4)))
        stored = directory.lookup(stored_text(key) for key in range(40))
        assert results == [[stored[stored_text(key)] for key in range(40)]] * 4

    def test_processes_that_place_new_keys_agree(self, directory: Directory) -> None:
        keys = list(range(200))
        first, second = run_processes(directory.alias, [["place", keys, ["a", "b"]], ["place", keys[::-1], ["b", "a"]]])
        assert first == second[::-1]
        assert sum(Directory(directory.alias, database="track").counts().values()) == len(keys)

    def test_a_child_that_is_forked_while_a_thread_works_does_not_wait_for_that_thread(
        self, directory: Directory
    ) -> None:
        assert run_processes(directory.alias, [["forked_mappings"]]) == [["a", "a"]]


def test_it_needs_a_directory() -> None:
    with pytest.raises(ConfigurationError, match=r"DATABASES\['crm'\] uses DirectoryMapping and needs DIRECTORY"):
        make(None)


def test_buckets_tell_no_shard(directory: Directory) -> None:
    mapping = make(directory)
    assert not mapping.uses_buckets
    assert mapping.shard_of_bucket(mapping.bucket("acme")) is None
    assert mapping.narrow(1, 2) is None
