"""Naming the logical alias in ``databases`` is enough."""

from __future__ import annotations

import threading
import unittest
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import ProgrammingError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import SimpleTestCase, TestCase, TransactionTestCase

from horizon_shards.backends.sharded.testcase import Allowed, allow_shard
from horizon_shards.topology import get_group
from tests.shop.models import Country, Customer, Visitor
from tests.shop.visitors import SITES, make_visitors


def rows_on_shards() -> int:
    """The visitors that the shards hold, counted past the logical database."""
    return sum(Visitor.objects.using(alias).count() for alias in get_group("track").primaries.values())


def in_thread(work: Callable[[], Any]) -> Any:
    """What ``work`` returns or raises in a thread of its own, with connections of its own."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:
            answers.append(error)
        finally:
            for alias in get_group("track").primaries.values():
                connections[alias].close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return answers[0]


def run_case(case: type[unittest.TestCase]) -> unittest.TestResult:
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    return result


class LogicalAliasIsEnoughTests(TestCase):
    databases = {"track"}

    @classmethod
    def setUpTestData(cls) -> None:
        make_visitors()
        cls.first = Visitor.objects.order_by("site_id").first()

    def test_reads_and_writes_every_shard(self) -> None:
        Visitor.objects.filter(site_id=1).update(name="changed")
        assert Visitor.objects.count() == len(SITES)
        assert Visitor.objects.get(site_id=1).name == "changed"

    def test_data_of_the_class_is_there_as_it_was(self) -> None:
        """What another test of the class changed is rolled back, on whichever shard."""
        assert self.first is not None
        assert self.first.name == "of 1"
        assert sorted(Visitor.objects.values_list("name", flat=True)) == sorted(f"of {site}" for site in SITES)
        Visitor.objects.all().delete()

    def test_deleted_rows_are_back(self) -> None:
        assert Visitor.objects.count() == len(SITES)

    def test_nested_atomic_rolls_back(self) -> None:
        with suppress(ZeroDivisionError), transaction.atomic(using="track"):
            Visitor.objects.all().delete()
            _ = 1 / 0
        assert Visitor.objects.count() == len(SITES)

    def test_other_aliases_stay_blocked(self) -> None:
        with self.assertRaisesMessage(AssertionError, "Add 'crm' to tests.test_testing.LogicalAliasIsEnough"):
            list(Customer.objects.filter(tenant="a"))
        with self.assertRaisesMessage(AssertionError, "'oracle'"):
            connections["oracle"].cursor()

    def test_threads_may_open_shards(self) -> None:
        """A thread has connections of its own, which Django blocks in another way."""
        assert in_thread(lambda: list(Visitor.objects.filter(site_id=10**9))) == []

    def test_threads_may_not_open_others(self) -> None:
        error = in_thread(lambda: list(Customer.objects.filter(tenant="a")))
        assert "threaded connections to 'crm' are not allowed" in str(error)

    async def test_async(self) -> None:
        assert await Visitor.objects.acount() == len(SITES)
        await Visitor.objects.filter(site_id=2).aupdate(name="changed")
        assert [visitor.name async for visitor in Visitor.objects.filter(site_id=2)] == ["changed"]

    async def test_synchronous_call_in_async_code_is_refused_as_by_django(self) -> None:
        with pytest.raises(SynchronousOnlyOperation):
            Visitor.objects.get(site_id=1)


class NothingIsLeftTests(TestCase):
    """Runs after the class above: its rows are gone, and a test may not depend on them."""

    databases = {"track"}

    def test_shards_are_empty(self) -> None:
        assert not Visitor.objects.exists()
        assert rows_on_shards() == 0


class BlockedTests(TestCase):
    """Tests that do not name the logical alias."""

    def test_the_error_names_the_logical_alias_and_the_cure(self) -> None:
        with self.assertRaisesMessage(
            AssertionError, "'track' are not allowed in this test. Add 'track' to tests.test_testing.BlockedTests"
        ):
            Visitor.objects.filter(site_id=1).exists()
        with self.assertRaisesMessage(AssertionError, "Add 'track' to"):
            Visitor.objects.count()
        with self.assertRaisesMessage(AssertionError, "Add 'track' to"):
            Visitor.objects.create(site_id=1)

    def test_threads_are_blocked_too(self) -> None:
        error = in_thread(lambda: list(Visitor.objects.filter(site_id=1)))
        assert isinstance(error, AssertionError)
        assert "threaded connections to 'track' are not allowed" in str(error)


class OnlyPhysicalNamedTests(TestCase):
    databases = {"track_1"}

    def test_the_logical_alias_is_still_blocked(self) -> None:
        with self.assertRaisesMessage(AssertionError, "Add 'track' to"):
            Visitor.objects.count()

    def test_the_physical_alias_is_not(self) -> None:
        assert Visitor.objects.using("track_1").count() == 0


class BothNamedTests(TestCase):
    databases = {"track", "track_1", "track_2"}

    def test_rows_are_seen_through_both_once(self) -> None:
        make_visitors()
        assert Visitor.objects.count() == len(SITES)
        assert Visitor.objects.using("track_1").count() == sum(
            get_group("track").mapping.resolve(site) == "track-1" for site in SITES
        )

    def test_and_rolled_back_in_both(self) -> None:
        assert Visitor.objects.count() == Visitor.objects.using("track_1").count() == 0


class AllNamedTests(TestCase):
    databases = "__all__"

    def test_every_group_works(self) -> None:
        make_visitors()
        Customer.objects.create(tenant="a", name="A")
        assert (Visitor.objects.count(), Customer.objects.filter(tenant="a").count()) == (len(SITES), 1)

    def test_rolled_back(self) -> None:
        assert (Visitor.objects.count(), rows_on_shards()) == (0, 0)
        assert not Customer.objects.filter(tenant="a").exists()


class SimpleTests(SimpleTestCase):
    def test_blocked(self) -> None:
        with self.assertRaisesMessage(AssertionError, "'track' are not allowed in SimpleTestCase subclasses"):
            Visitor.objects.count()


class PhysicalBeforeLogicalTests(TestCase):
    databases = {"track"}

    def test_a_shard_is_blocked_until_the_logical_database_has_begun_a_transaction_on_it(self) -> None:
        """Before that nothing would roll back what is written to it."""
        with self.assertRaisesMessage(AssertionError, "Add 'track_3' to"):
            Visitor.objects.using("track_3").count()
        Visitor.objects.count()
        assert Visitor.objects.using("track_3").count() == 0


class FlushTests(TransactionTestCase):
    databases = {"track"}

    def test_committed_rows_are_seen_past_the_logical_database(self) -> None:
        assert Visitor.objects.count() == 0
        make_visitors()
        Country.objects.create(code="AT", name="Austria")
        assert rows_on_shards() == len(SITES)

    def test_committed_rows_are_flushed_from_all_shards(self) -> None:
        assert Visitor.objects.count() == 0
        assert rows_on_shards() == Country.objects.count() == 0
        make_visitors()
        Country.objects.create(code="DE", name="Germany")

    def test_a_closed_shard_is_opened_again(self) -> None:
        make_visitors()
        for alias in get_group("track").primaries.values():
            connections[alias].close()
        assert Visitor.objects.count() == len(SITES)


class OuterTests(TransactionTestCase):
    """A test class that runs others, as tests of test tools do."""

    databases = {"default", "track"}

    def test_blocks_of_inner_classes_end_with_them(self) -> None:
        class Inner(TestCase):
            databases = {"track"}

            def test(self) -> None:
                make_visitors()
                assert Visitor.objects.count() == len(SITES)

        class InnerBlocked(TestCase):
            def test(self) -> None:
                Visitor.objects.count()

        assert Visitor.objects.count() == 0
        result = run_case(Inner)
        assert result.errors == [], result.errors[0][1]
        assert result.testsRun == 1
        assert result.errors + result.failures == []
        failures = run_case(InnerBlocked).failures
        assert "Add 'track' to tests.test_testing.OuterTests" in failures[0][1]
        assert Visitor.objects.count() == 0


def test_every_block_is_gone_after_the_classes() -> None:
    """Django puts the methods back by their ``wrapped``; ours carries it."""

    class Inner(SimpleTestCase):
        databases = {"track"}

        def test(self) -> None:
            track, shard = connections["track"], connections["track_1"]
            allow_shard(track, shard)
            assert isinstance(shard.cursor, Allowed)

    assert run_case(Inner).wasSuccessful()
    for alias in connections:
        for name, value in vars(connections[alias]).items():
            assert type(value).__module__ != "django.test.testcases", (alias, name)
            assert not isinstance(value, Allowed), (alias, name)
    assert BaseDatabaseWrapper.ensure_connection.__module__ != "django.test.testcases"


class ClosedInTransactionTests(TestCase):
    databases = {"track", "track_1"}

    def test_a_connection_lost_inside_a_transaction_is_not_opened_anew(self) -> None:
        shard = connections["track_1"]
        kept, shard.connection, shard.closed_in_transaction = shard.connection, None, True
        allow_shard(connections["track"], shard)
        try:
            with pytest.raises(ProgrammingError, match="atomic block"):
                shard.ensure_connection()
        finally:
            shard.connection, shard.closed_in_transaction = kept, False
