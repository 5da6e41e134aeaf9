"""Sharded ids: the layout, and numbers that nobody else gets."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st

from horizon_shards import ids
from horizon_shards.directory import Directory
from horizon_shards.exceptions import DirectoryUnavailable, InvalidShardKey
from horizon_shards.ids import MAX_BUCKET, MAX_NUMBER, NumberSource
from tests.fresh_directory import fresh_directory, run_processes

NUMBERS = st.integers(0, MAX_NUMBER)
BUCKETS = st.integers(0, MAX_BUCKET)


@pytest.fixture
def directory(tmp_path: Path, django_db_blocker: Any) -> Iterator[Directory]:
    with django_db_blocker.unblock(), fresh_directory(tmp_path) as alias:
        yield Directory(alias, database="track")


@pytest.fixture
def leases(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the blocks that were leased."""
    sizes: list[int] = []
    real = Directory.lease

    def lease(self: Directory, name: str, size: int) -> range:
        sizes.append(size)
        return real(self, name, size)

    monkeypatch.setattr(Directory, "lease", lease)
    return sizes


class TestLayout:
    """Golden vectors: ids are stored; never change one."""

    @pytest.mark.parametrize(
        ("number", "bucket", "value"),
        [
            (0, 0, 0x2000_0000_0000_0000),
            (0, 1, 0x2000_0000_0000_0001),
            (1, 0, 0x2000_0000_0000_4000),
            (1, 2, 0x2000_0000_0000_4002),
            (123_456_789, 4_095, 2**61 + 123_456_789 * 2**14 + 4_095),
            (MAX_NUMBER, MAX_BUCKET, 0x3FFF_FFFF_FFFF_FFFF),
        ],
    )
    def test_ids_are_frozen(self, number: int, bucket: int, value: int) -> None:
        assert ids.make_id(number, bucket) == value
        assert ids.bucket_of_id(value) == bucket
        assert ids.number_of_id(value) == number

    @pytest.mark.parametrize(
        ("number", "bucket", "unix_ms", "value"),
        [
            (0, 0, 0, "00000000-0000-8148-a000-000000000000"),
            (1, 2, 1_700_000_000_000, "018bcfe5-6800-8148-a000-000000004002"),
            (MAX_NUMBER, MAX_BUCKET, 2**48 - 1, "ffffffff-ffff-8148-bfff-ffffffffffff"),
        ],
    )
    def test_uuids_are_frozen(self, number: int, bucket: int, unix_ms: int, value: str) -> None:
        made = ids.make_uuid(number, bucket, unix_ms=unix_ms)
        assert str(made) == value
        assert ids.bucket_of_uuid(made) == bucket
        assert ids.number_of_uuid(made) == number

    @given(NUMBERS, BUCKETS)
    def test_an_id_fits_a_signed_bigint_and_says_what_is_in_it(self, number: int, bucket: int) -> None:
        value = ids.make_id(number, bucket)
        assert 0 < value < 2**63
        assert (ids.number_of_id(value), ids.bucket_of_id(value)) == (number, bucket)

    @given(NUMBERS, BUCKETS, st.integers(0, 2**48 - 1))
    def test_a_uuid_is_of_version_8_and_says_what_is_in_it(self, number: int, bucket: int, unix_ms: int) -> None:
        value = ids.make_uuid(number, bucket, unix_ms=unix_ms)
        assert value.version == 8
        assert value.variant == uuid.RFC_4122
        assert value.int >> 80 == unix_ms
        assert (ids.number_of_uuid(value), ids.bucket_of_uuid(value)) == (number, bucket)

    @given(NUMBERS, NUMBERS, BUCKETS, BUCKETS)
    def test_a_later_number_is_a_greater_id(self, first: int, second: int, one: int, other: int) -> None:
        if first < second:
            assert ids.make_id(first, one) < ids.make_id(second, other)

    @pytest.mark.parametrize("value", [0, 1, -1, 2**61 - 1, 2**62, 2**63 - 1, -(2**61), 2**64 + 2**61])
    def test_a_foreign_int_has_no_bucket(self, value: int) -> None:
        assert ids.bucket_of_id(value) is None
        with pytest.raises(InvalidShardKey, match=f"{value} is no sharded id"):
            ids.number_of_id(value)

    @pytest.mark.parametrize(
        "value",
        [
            uuid.UUID(int=0),
            uuid.UUID("00000000-0000-4148-a000-000000000000"),
            uuid.UUID("00000000-0000-8149-a000-000000000000"),
            uuid.UUID("00000000-0000-8248-a000-000000000000"),
            uuid.UUID("00000000-0000-8148-8000-000000000000"),
            uuid.UUID("00000000-0000-8148-e000-000000000000"),
            uuid.uuid4(),
            uuid.uuid1(),
        ],
    )
    def test_a_foreign_uuid_has_no_bucket(self, value: uuid.UUID) -> None:
        assert ids.bucket_of_uuid(value) is None
        with pytest.raises(InvalidShardKey, match="is no sharded UUID"):
            ids.number_of_uuid(value)

    @pytest.mark.parametrize(("number", "bucket"), [(-1, 0), (MAX_NUMBER + 1, 0), (0, -1), (0, MAX_BUCKET + 1)])
    def test_what_does_not_fit_is_refused_and_never_wraps_around(self, number: int, bucket: int) -> None:
        with pytest.raises(OverflowError):
            ids.make_id(number, bucket)
        with pytest.raises(OverflowError):
            ids.make_uuid(number, bucket, unix_ms=0)


class TestNumbers:
    def test_numbers_rise_and_are_given_out_once(self, directory: Directory) -> None:
        source = NumberSource(directory)
        found = [source.number(), *source.numbers(5), *source.numbers(0), source.number(), *source.numbers(5_000)]
        assert found == list(range(7)) + found[7:]
        assert found == sorted(set(found))

    def test_blocks_grow_while_they_are_used_up_quickly(
        self, directory: Directory, leases: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ids, "BLOCK_SHOULD_LAST_SECONDS", 3_600.0)
        source = NumberSource(directory)
        for _ in range(300):
            source.numbers(997)
        assert leases[:4] == [1_000, 2_000, 4_000, 8_000]
        assert max(leases) == 100_000
        assert len(leases) <= 10

    def test_blocks_stay_small_while_they_last(
        self, directory: Directory, leases: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ids, "BLOCK_SHOULD_LAST_SECONDS", 0.0)
        source = NumberSource(directory)
        for _ in range(5):
            source.numbers(1_000)
        assert leases == [1_000] * 5

    def test_a_bulk_insert_of_100_000_rows_is_one_lease(self, directory: Directory, leases: list[int]) -> None:
        source = NumberSource(directory)
        source.number()
        assert len(set(source.numbers(100_000))) == 100_000
        assert leases == [1_000, 99_001]

    def test_a_failed_lease_wastes_nothing(self, directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        source = NumberSource(directory)
        source.numbers(990)

        def fail(name: str, size: int) -> range:
            raise DirectoryUnavailable("away")

        with monkeypatch.context() as patch:
            patch.setattr(directory, "lease", fail)
            with pytest.raises(DirectoryUnavailable):
                source.numbers(20)
            assert source.numbers(5) == list(range(990, 995))
        assert source.numbers(20) == [*range(995, 1_000), *range(1_000, 1_015)]

    def test_one_source_a_directory(self, directory: Directory) -> None:
        again = Directory(directory.alias, database="track")
        assert ids.source_of(directory) is ids.source_of(again)
        assert ids.source_of(directory) is not ids.source_of(Directory(directory.alias, database="crm"))

    def test_threads_get_no_number_twice(self, directory: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
        # Blocks end often, and it is at their ends that threads can meet.
        for name in ("FIRST_BLOCK", "LARGEST_BLOCK"):
            monkeypatch.setattr(ids, name, 100)
        source = NumberSource(directory)
        barrier = threading.Barrier(8)

        def work(at_once: int) -> list[int]:
            barrier.wait()
            return [number for _ in range(300) for number in source.numbers(at_once)]

        with ThreadPoolExecutor(8) as pool:
            found = [number for numbers in pool.map(work, range(1, 9)) for number in numbers]
        assert len(found) == len(set(found)) == 300 * 36

    def test_threads_that_meet_at_the_end_of_a_block_get_no_number_twice(
        self, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = NumberSource(directory)
        source.numbers(997)
        leasing = threading.Event()
        real = directory.lease

        def slow_lease(name: str, size: int) -> range:
            leasing.set()
            time.sleep(0.2)
            return real(name, size)

        monkeypatch.setattr(directory, "lease", slow_lease)
        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(source.numbers, 8)
            leasing.wait()
            second = pool.submit(source.numbers, 2)
        assert first.result() + second.result() == list(range(997, 1_007))

    def test_processes_get_no_number_twice(self, directory: Directory) -> None:
        for _ in range(20):
            first, second = run_processes(directory.alias, [["ids", 20_000, 1], ["ids", 20_000, 10]])
            assert len(set(first) | set(second)) == 40_000
            if max(min(first), min(second)) < min(max(first), max(second)):
                return
        pytest.fail("the processes always ran one after the other: nothing was tested")

    @pytest.mark.parametrize("conn_max_age", [0, None])
    def test_forks_get_no_number_twice(self, tmp_path: Path, django_db_blocker: Any, conn_max_age: Any) -> None:
        with django_db_blocker.unblock(), fresh_directory(tmp_path, CONN_MAX_AGE=conn_max_age) as alias:
            (answer,) = run_processes(alias, [["forked_ids", 3_500]])
        everyone = [number for numbers in answer.values() for number in numbers]
        assert len(everyone) == len(set(everyone)) == 10 + 4 * 3_500

    def test_a_child_that_is_forked_while_a_thread_takes_a_number_does_not_wait_for_it(
        self, directory: Directory
    ) -> None:
        ((child, parent),) = run_processes(directory.alias, [["forked_while_taking"]])
        assert child == [1_000, 1_001]
        assert parent == [1, 2]

    def test_a_fork_without_the_hook_of_the_interpreter_is_noticed(
        self, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Some servers fork in C, past ``os.fork``."""
        source = NumberSource(directory)
        assert source.numbers(3) == [0, 1, 2]
        monkeypatch.setattr(ids.os, "getpid", lambda: -1)
        assert source.numbers(3) == [1_000, 1_001, 1_002]

    def test_a_clock_that_steps_back_changes_nothing(
        self, directory: Directory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = NumberSource(directory)
        before = source.numbers(2_500)

        def no_clock(*args: Any) -> Any:
            raise AssertionError("the wall clock was read")

        for name in ("time", "time_ns", "gmtime", "localtime"):
            monkeypatch.setattr(time, name, no_clock)
        after = source.numbers(2_500)
        monkeypatch.undo()
        assert max(before) < min(after)

    def test_a_flush_of_the_directory_gives_no_number_twice(self, directory: Directory) -> None:
        source = NumberSource(directory)
        before = source.numbers(600)
        with connections[directory.alias].cursor() as cursor:
            cursor.execute("DELETE FROM horizon_shards_block")
        after = source.numbers(2_500)
        assert len({*before, *after}) == 3_100
        assert after == sorted(after)

    def test_after_a_restored_backup_the_counter_can_be_raised(self, directory: Directory) -> None:
        newest = ids.make_id(5_000_000, 3)
        directory.advance(ids.COUNTER, past=ids.number_of_id(newest))
        assert NumberSource(directory).number() == 5_000_001
