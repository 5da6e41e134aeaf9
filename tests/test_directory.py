"""The directory: what it stores, its races, and that it commits outside of everybody's transaction."""

from __future__ import annotations

import threading
import time
import unittest
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.db import connections, transaction
from django.test import SimpleTestCase, TestCase
from django.test.testcases import DatabaseOperationForbidden

from horizon_shards.directory import Directory, NewAssignment, connection, retry, statements
from horizon_shards.directory.connection import _of_thread, close_obsolete, is_kept, keep_none
from horizon_shards.exceptions import ConfigurationError, DirectoryUnavailable
from tests import settings
from tests.fresh_directory import fresh_directory, run_processes

on_sqlite = pytest.mark.skipif(settings.ENGINE != "sqlite", reason="SQLite has one writer, servers have many")
on_server = pytest.mark.skipif(settings.ENGINE == "sqlite", reason="SQLite has no server whose connections can die")


@pytest.fixture(autouse=True)
def _unblocked(django_db_blocker: Any) -> Iterator[None]:
    with django_db_blocker.unblock():
        yield


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite has no queue for its lock: one of many threads can wait long where the disk is slow."""
    monkeypatch.setattr(retry, "RETRY_SECONDS", 60)


@pytest.fixture
def alias(tmp_path: Path) -> Iterator[str]:
    with fresh_directory(tmp_path) as made:
        yield made


@pytest.fixture
def directory(alias: str) -> Directory:
    return Directory(alias, database="track")


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What ``work(n)`` returns in ``count`` threads that begin together."""
    barrier = threading.Barrier(count)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def rows(keys: range, shard: str = "a") -> list[NewAssignment]:
    return [NewAssignment(f"x{key}", shard, key, str(key)) for key in keys]


class TestAssignments:
    def test_the_first_assignment_of_a_key_stays(self, directory: Directory) -> None:
        assert directory.assign("x1", shard="a", bucket=5) == "a"
        assert directory.assign("x1", shard="b", bucket=5) == "a"
        assert directory.lookup(["x1"]) == {"x1": "a"}

    def test_lookup_knows_nothing_of_keys_without_an_assignment(self, directory: Directory) -> None:
        assert directory.lookup([]) == {}
        assert directory.lookup(["x1"]) == {}
        assert directory.counts() == {}

    def test_more_keys_than_fit_into_one_statement(self, directory: Directory) -> None:
        many = range(statements.CHUNK_SIZE * 3 + 1)
        winners, created = directory.assign_many(rows(many))
        assert len(winners) == len(created) == len(many)
        assert directory.lookup(f"x{key}" for key in range(10_000)) == winners
        assert directory.counts() == {"a": len(many)}

    def test_many_at_once_keep_what_was_assigned_before(self, directory: Directory) -> None:
        directory.assign("x3", shard="b", bucket=0)
        winners, created = directory.assign_many(rows(range(5)))
        assert winners == {"x0": "a", "x1": "a", "x2": "a", "x3": "b", "x4": "a"}
        assert created == {"x0", "x1", "x2", "x4"}

    def test_logical_databases_do_not_see_each_other(self, directory: Directory) -> None:
        other = Directory(directory.alias, database="crm")
        directory.assign("x1", shard="a", bucket=0)
        assert other.lookup(["x1"]) == {}
        assert other.assign("x1", shard="z", bucket=0) == "z"
        assert directory.counts() == {"a": 1}

    def test_the_row_says_for_people_which_key_it_is(self, directory: Directory) -> None:
        directory.assign("x69", shard="a", bucket=7, label="'i'")
        with connections[directory.alias].cursor() as cursor:
            cursor.execute("SELECT logical_database, key_text, label, shard, bucket FROM horizon_shards_assignment")
            assert cursor.fetchall() in ([("track", "x69", "'i'", "a", 7)], (("track", "x69", "'i'", "a", 7),))

    def test_threads_that_assign_one_key_agree(self, directory: Directory) -> None:
        for key in range(20):
            found = at_once(6, lambda n, key=key: directory.assign(f"x{key}", shard=f"s{n}", bucket=0))
            assert len(set(found)) == 1
        assert sum(directory.counts().values()) == 20

    def test_threads_that_assign_many_keys_agree(self, directory: Directory) -> None:
        found = at_once(4, lambda n: directory.assign_many(rows(range(n * 50, n * 50 + 400), f"s{n}")))
        final = directory.lookup(f"x{key}" for key in range(550))
        assert len(final) == 550
        for winners, _ in found:
            assert all(final[key] == shard for key, shard in winners.items())
        assert sum(len(created) for _, created in found) == 550

    def test_processes_that_assign_the_same_keys_agree(self, directory: Directory) -> None:
        for attempt in range(20):
            keys = [f"x{attempt:02}{key:03}" for key in range(150)]
            first, second = run_processes(directory.alias, [["assign", keys, "a"], ["assign", keys[::-1], "b"]])
            assert first == second == directory.lookup(keys)
            if set(first.values()) == {"a", "b"}:
                return
        pytest.fail("the processes always ran one after the other: nothing was tested")

    def test_processes_that_assign_the_same_keys_in_bulk_agree(self, directory: Directory) -> None:
        keys = [f"x{key}" for key in range(1_000)]
        tasks = [["assign_many", keys, "a"], ["assign_many", keys, "b"]]
        (first, ours), (second, theirs) = run_processes(directory.alias, tasks)
        assert first == second == directory.lookup(keys)
        assert ours + theirs == len(keys)


class TestBuckets:
    def test_the_table_is_seeded_once(self, directory: Directory) -> None:
        assert directory.bucket_table() == ()
        assert directory.seed_buckets(["a", "a", "b"]) == ("a", "a", "b")
        assert directory.seed_buckets(["c"] * 9) == ("a", "a", "b")
        assert directory.bucket_table() == ("a", "a", "b")

    def test_threads_that_seed_differently_end_with_one_table(self, directory: Directory) -> None:
        found = at_once(4, lambda n: directory.seed_buckets([f"s{n}"] * (1_000 + n)))
        assert set(found) == {directory.bucket_table()}
        assert len(set(found[0])) == 1

    def test_processes_that_seed_differently_end_with_one_table(self, directory: Directory) -> None:
        first, second = run_processes(directory.alias, [["seed", ["a", "b"] * 2_048], ["seed", ["c"] * 4_096]])
        assert first == second == list(directory.bucket_table())
        assert first in (["a", "b"] * 2_048, ["c"] * 4_096)

    def test_a_table_with_a_hole_is_refused(self, directory: Directory) -> None:
        directory.seed_buckets(["a", "b", "c"])
        with connections[directory.alias].cursor() as cursor:
            cursor.execute("DELETE FROM horizon_shards_bucket WHERE bucket = 1")
        with pytest.raises(ConfigurationError, match=r"bucket table of 'track' .* has holes.*backup"):
            directory.bucket_table()


class TestLeases:
    def test_leases_follow_each_other(self, directory: Directory) -> None:
        assert directory.lease("ids", 10) == range(10)
        assert directory.lease("ids", 5) == range(10, 15)
        assert directory.lease("other", 5) == range(5)

    def test_threads_never_lease_the_same(self, directory: Directory) -> None:
        leased = at_once(6, lambda n: [directory.lease("ids", n + 1) for _ in range(20)])
        numbers = [number for ranges in leased for block in ranges for number in block]
        assert sorted(numbers) == list(range(20 * 21))

    def test_advance_raises_a_counter_and_never_lowers_it(self, directory: Directory) -> None:
        directory.advance("ids", past=99)
        assert directory.lease("ids", 1) == range(100, 101)
        directory.advance("ids", past=5)
        assert directory.lease("ids", 1) == range(101, 102)


class TestTransactions:
    def test_a_rollback_of_another_database_loses_nothing(self, directory: Directory, tmp_path: Path) -> None:
        with fresh_directory(tmp_path) as callers:
            with transaction.atomic(using=callers):
                directory.assign("x1", shard="a", bucket=0)
                directory.seed_buckets(["a"])
                directory.lease("ids", 10)
                transaction.set_rollback(True, using=callers)
            assert directory.lookup(["x1"]) == {"x1": "a"}
            assert directory.bucket_table() == ("a",)
            assert directory.lease("ids", 1) == range(10, 11)

    @on_server
    def test_a_rollback_of_the_same_database_loses_nothing(self, directory: Directory) -> None:
        with transaction.atomic(using=directory.alias):
            with connections[directory.alias].cursor() as cursor:
                cursor.execute("SELECT COUNT(*) FROM horizon_shards_assignment")
            directory.assign("x1", shard="a", bucket=0)
            transaction.set_rollback(True, using=directory.alias)
        assert directory.lookup(["x1"]) == {"x1": "a"}

    @on_sqlite
    def test_a_write_inside_the_callers_own_sqlite_transaction_fails_at_once(self, directory: Directory) -> None:
        """Waiting would never end: the caller holds the only write lock. Reading goes on."""
        with transaction.atomic(using=directory.alias):
            with connections[directory.alias].cursor() as cursor:
                cursor.execute(
                    "INSERT INTO horizon_shards_block (logical_database, name, next_number) VALUES ('', '', 0)"
                )
            with pytest.raises(DirectoryUnavailable, match="this thread is inside an atomic"):
                directory.assign("x1", shard="a", bucket=0)
            assert directory.lookup(["x1"]) == {}
        assert directory.assign("x1", shard="a", bucket=0) == "a"

    @on_sqlite
    def test_a_lock_of_another_thread_is_waited_for(self, directory: Directory) -> None:
        with locked(directory.alias) as release, ThreadPoolExecutor(1) as pool:
            assigned = pool.submit(directory.assign, "x1", shard="a", bucket=0)
            time.sleep(0.2)
            assert not assigned.done()
            release.set()
            assert assigned.result() == "a"

    @on_sqlite
    def test_the_wait_for_a_lock_ends(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(retry, "RETRY_SECONDS", 0.3)
        with (
            fresh_directory(tmp_path, OPTIONS={"timeout": 0.1}) as alias,
            locked(alias),
            pytest.raises(DirectoryUnavailable, match=r"locked.*\n.*database of its own"),
        ):
            Directory(alias, database="track").assign("x1", shard="a", bucket=0)


@contextmanager
def locked(alias: str) -> Iterator[threading.Event]:
    """Another thread holds SQLite's lock for writing until the event, or to the end of the block."""
    holds, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(using=alias):
            with connections[alias].cursor() as cursor:
                cursor.execute("UPDATE horizon_shards_block SET next_number = 0")
            holds.set()
            release.wait()
        connections[alias].close()

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(hold)
        try:
            assert holds.wait(60)
            yield release
        finally:
            release.set()
        held.result()


class TestConnections:
    def test_conn_max_age_0_keeps_none(self, directory: Directory) -> None:
        directory.lookup(["x1"])
        assert not is_kept(directory.alias)

    def test_conn_max_age_none_keeps_one_a_thread(self, tmp_path: Path) -> None:
        with fresh_directory(tmp_path, CONN_MAX_AGE=None) as alias:
            directory = Directory(alias, database="track")
            directory.lookup(["x1"])
            kept = _of_thread.held[alias].wrapper.connection
            directory.assign("x1", shard="a", bucket=0)
            close_obsolete()
            assert _of_thread.held[alias].wrapper.connection is kept is not None

    def test_none_is_kept_to_a_database_that_is_to_be_dropped(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connection, "_never_kept", set())
        with fresh_directory(tmp_path, CONN_MAX_AGE=None) as alias:
            Directory(alias, database="track").lookup(["x1"])
            assert is_kept(alias)
            keep_none(alias)
            assert not is_kept(alias)
            Directory(alias, database="track").lookup(["x1"])
            assert not is_kept(alias)

    def test_an_old_connection_is_closed_after_the_request(self, tmp_path: Path) -> None:
        with fresh_directory(tmp_path, CONN_MAX_AGE=1) as alias:
            Directory(alias, database="track").lookup(["x1"])
            assert is_kept(alias)
            _of_thread.held[alias].wrapper.close_at = time.monotonic() - 1
            close_obsolete()
            assert not is_kept(alias)

    def test_the_callers_connection_is_left_alone(self, directory: Directory) -> None:
        directory.assign("x1", shard="a", bucket=0)
        assert connections[directory.alias].connection is None

    def test_a_renamed_database_is_noticed(self, tmp_path: Path) -> None:
        """As when Django puts the name of the test database into the settings."""
        with fresh_directory(tmp_path, CONN_MAX_AGE=None) as first, fresh_directory(tmp_path) as second:
            directory = Directory(first, database="track")
            directory.assign("x1", shard="a", bucket=0)
            names = connections.settings[first]["NAME"], connections.settings[second]["NAME"]
            connections.settings[first]["NAME"] = names[1]
            assert directory.lookup(["x1"]) == {}
            connections.settings[first]["NAME"] = names[0]
            assert directory.lookup(["x1"]) == {"x1": "a"}

    @on_server
    def test_a_connection_that_died_is_opened_anew(self, tmp_path: Path) -> None:
        with fresh_directory(tmp_path, CONN_MAX_AGE=None) as alias:
            directory = Directory(alias, database="track")
            directory.assign("x1", shard="a", bucket=0)
            self.kill_others(alias)
            assert directory.lookup(["x1"]) == {"x1": "a"}

    @staticmethod
    def kill_others(alias: str) -> None:
        held = _of_thread.held[alias].wrapper
        with held.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()" if held.vendor == "postgresql" else "SELECT CONNECTION_ID()")
            pid = cursor.fetchone()[0]
        with connections[alias].cursor() as cursor:
            cursor.execute(f"SELECT pg_terminate_backend({pid})" if held.vendor == "postgresql" else f"KILL {pid}")

    def test_a_kept_connection_survives_a_fork_in_parent_and_child(self, tmp_path: Path) -> None:
        with fresh_directory(tmp_path, CONN_MAX_AGE=None) as alias:
            (answer,) = run_processes(alias, [["forked_lookups"]])
        assert answer == [[{"x1": "a"}, False], {"x1": "a"}, True]

    def test_missing_tables_name_the_command(self, tmp_path: Path) -> None:
        with fresh_directory(tmp_path, tables=False) as alias:
            directory = Directory(alias, database="track")
            with pytest.raises(DirectoryUnavailable, match=f"(?s){alias!r} did not.*migrate --database={alias}"):
                directory.lookup(["x1"])

    def test_a_database_that_is_away_is_named(self, tmp_path: Path) -> None:
        gone = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "no" / "such.sqlite3")}
        with fresh_directory(tmp_path, tables=False, **gone) as alias:
            directory = Directory(alias, database="track")
            with pytest.raises(DirectoryUnavailable, match=f"{alias!r} did not answer: unable to open"):
                directory.lookup(["x1"])

    def test_sqlite_in_memory_of_one_connection_is_shared_with_the_caller(self, tmp_path: Path) -> None:
        memory = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        with fresh_directory(tmp_path, **memory) as alias:
            directory = Directory(alias, database="track")
            assert directory.assign("x1", shard="a", bucket=0) == "a"
            assert directory.lease("ids", 3) == range(3)
            with transaction.atomic(using=alias):
                assert directory.lookup(["x1"]) == {"x1": "a"}

    def test_sqlite_in_shared_memory_works_from_all_threads(self, tmp_path: Path) -> None:
        name = f"file:{tmp_path.name}?mode=memory&cache=shared"
        with fresh_directory(tmp_path, ENGINE="django.db.backends.sqlite3", NAME=name) as alias:
            directory = Directory(alias, database="track")
            found = at_once(4, lambda n: [directory.assign(f"x{k}", shard=f"s{n}", bucket=0) for k in range(20)])
            assert found.count(found[0]) == 4


class TestInsideOfDjangosTestCases:
    def test_an_alias_that_a_test_does_not_name_is_blocked_and_the_directory_works(self, alias: str) -> None:
        class Blocked(SimpleTestCase):
            def test(self) -> None:
                with pytest.raises(DatabaseOperationForbidden):
                    connections[alias].cursor()
                assert Directory(alias, database="track").assign("x1", shard="a", bucket=0) == "a"

        self.run(Blocked)

    def test_an_alias_that_a_test_wraps_in_a_transaction_takes_writes(self, alias: str) -> None:
        class Wrapped(TestCase):
            databases: ClassVar[set[str]] = {alias}

            def test(self) -> None:
                with connections[alias].cursor() as cursor:
                    cursor.execute("UPDATE horizon_shards_block SET next_number = 0")
                directory = Directory(alias, database="track")
                assert directory.assign("x1", shard="a", bucket=0) == "a"
                assert directory.assign("x1", shard="b", bucket=0) == "a"
                assert directory.seed_buckets(["a", "b"]) == ("a", "b")
                assert [directory.lease("ids", 2), directory.lease("ids", 2)] == [range(2), range(2, 4)]

        self.run(Wrapped)

    @staticmethod
    def run(case: type[SimpleTestCase]) -> None:
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
        problems = [text for _, text in result.errors + result.failures]
        assert not problems, "".join(problems)
        assert result.testsRun == 1
