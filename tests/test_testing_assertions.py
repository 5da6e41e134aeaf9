"""What a block asks of the shards can be captured and asserted."""

from __future__ import annotations

import pytest
from django.db.models import prefetch_related_objects
from django.test import TestCase

from horizon_shards import testing
from horizon_shards.topology import get_group
from tests.shop.models import Country, Customer, Site, Visitor
from tests.shop.visitors import make_visitors


def two_sites(*, apart: bool) -> tuple[int, int]:
    """Two sites on different shards, or on one: where a site is changes from run to run."""
    mapping = get_group("track").mapping
    return next(
        (one, other)
        for one in range(1, 100)
        for other in range(one + 1, 100)
        if (mapping.place(one) != mapping.place(other)) is apart
    )


def read(*sites: int | None) -> None:
    """One query a site; None is a query over all of them."""
    for site in sites:
        list(Visitor.objects.all() if site is None else Visitor.objects.filter(site_id=site))


class AssertionTests(TestCase):
    databases = {"track", "crm"}

    @classmethod
    def setUpTestData(cls) -> None:
        make_visitors()

    def test_capture_says_what_went_where(self) -> None:
        with testing.capture_shards() as captured:
            list(Visitor.objects.filter(site_id=1))
            Visitor.objects.count()
        one, count = captured
        shard = get_group("track").mapping.resolve(1)
        assert (one.database, one.model, one.operation, one.mode) == ("track", "shop.Visitor", "select", "single")
        assert one.shards == (shard,)
        assert one.call_site.startswith("tests/test_testing_assertions.py:")
        assert one.call_site.endswith("in test_capture_says_what_went_where")
        assert count.mode == "scatter"
        assert captured.scatters == [count]
        assert set(captured.shards) == set(get_group("track").shard_names)
        assert captured.shards[0] == shard

    def test_capture_ends_with_the_block(self) -> None:
        with testing.capture_shards() as captured:
            pass
        list(Visitor.objects.filter(site_id=1))
        assert len(captured) == 0
        assert str(captured) == "no query was planned on any logical database"

    def test_capture_of_one_database(self) -> None:
        with testing.capture_shards("crm") as captured:
            list(Visitor.objects.filter(site_id=1))
            Customer.objects.create(tenant="a", name="A")
        assert [query.model for query in captured] == ["shop.Customer"]

    def test_assert_shards(self) -> None:
        one, other = two_sites(apart=True)
        with testing.assert_shards(2):
            read(one, other)
        with testing.assert_shards(0):
            pass

    def test_assert_shards_lists_the_queries(self) -> None:
        with pytest.raises(AssertionError) as failure, testing.assert_shards(1):
            Visitor.objects.count()
        message = str(failure.value)
        assert message.startswith("Expected 1 shard, got 4 (track-1, track-2, track-3, track-4):")
        assert "scatter select of shop.Visitor on track: track-1, track-2, track-3, track-4" in message
        assert "tests/test_testing_assertions.py:" in message

    def test_assert_shards_fails_without_a_query(self) -> None:
        expected = pytest.raises(AssertionError, match="Expected 1 shard, got 0:\nno query was planned on 'track'")
        with expected, testing.assert_shards(1, database="track"):
            pass

    def test_assert_single_shard(self) -> None:
        one, other = two_sites(apart=False)
        with testing.assert_single_shard(get_group("track").mapping.resolve(one)):
            read(one, other)
        one, other = two_sites(apart=True)
        with pytest.raises(AssertionError, match="Expected a single shard, got 2"), testing.assert_single_shard():
            read(one, other)
        expected = pytest.raises(AssertionError, match="Expected the shard 'nowhere' alone, got 1")
        with expected, testing.assert_single_shard("nowhere"):
            read(one)

    def test_assert_no_scatter(self) -> None:
        one, other = two_sites(apart=True)
        with testing.assert_no_scatter():
            read(one, other)
            Country.objects.create(code="AT", name="Austria")
        with pytest.raises(AssertionError) as failure, testing.assert_no_scatter():
            read(one, None)
        message = str(failure.value)
        assert message.startswith("1 of 2 queries asked several shards. Filter each by the shard key")
        assert "in read\n     because " in message

    def test_assert_no_repeats(self) -> None:
        sites = two_sites(apart=True)
        with testing.assert_no_repeats():
            for site in sites:
                read(site)
        with pytest.raises(AssertionError) as failure, testing.assert_no_repeats(1):
            for site in sites:
                read(site)
        message = str(failure.value)
        assert message.startswith("Fetch together what a loop fetches one by one")
        assert "  - 2 times select of shop.Visitor on track\n     at " in message
        assert "in read" in message

    def test_what_a_loop_fetches_for_each_row_is_a_repeat_and_what_is_prefetched_is_not(self) -> None:
        name = Visitor._meta.get_field("site").remote_field.get_accessor_name()
        sites = [Site(pk=number) for number in (1, 2, 3)]
        with pytest.raises(AssertionError, match=r"3 times select of shop\.Visitor"), testing.assert_no_repeats():
            for site in sites:
                list(getattr(site, name).all())
        with testing.assert_no_repeats(1) as captured:
            prefetch_related_objects(sites, name)
            for site in sites:
                list(getattr(site, name).all())
        assert len(captured) == 1

    def test_an_error_of_the_block_is_not_hidden(self) -> None:
        with pytest.raises(KeyError), testing.assert_shards(3):
            raise KeyError

    async def test_async_queries_are_captured(self) -> None:
        with testing.assert_single_shard() as captured:
            await Visitor.objects.filter(site_id=1).acount()
        assert len(captured) == 1
