"""Django's async ORM on the logical alias, and blocks of code across tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db.models import Sum
from django.db.transaction import atomic

from horizon_shards import allow_scatter, forbid_scatter, using_shard
from horizon_shards.exceptions import ScatterForbidden
from horizon_shards.testing import assert_shards, assert_single_shard
from horizon_shards.topology import get_group
from tests.sharded.rows import rows_of_shard
from tests.shop.models import Site, Tag, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track"])


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine so that its queries are made in this thread, on this test's connections."""
    return async_to_sync(work)()


def test_one_row(sites: list[Site]) -> None:
    async def work() -> None:
        with assert_single_shard(), forbid_scatter():
            tag = await Tag.objects.acreate(site=sites[0], name="x")
            assert await Tag.objects.aget(pk=tag.pk) == tag
            tag.name = "y"
            await tag.asave()
            await tag.arefresh_from_db()
            assert tag.name == "y"
            assert await Tag.objects.filter(site=sites[0]).aupdate(name="z") == 1
            assert (await Tag.objects.aget_or_create(site=sites[0], name="z")) == (tag, False)
            assert await tag.adelete() == (1, {"shop.Tag": 1})
        assert not await Tag.objects.aexists()

    run(work)


def test_rows_of_all_shards(visits: list[Visit]) -> None:
    async def work() -> None:
        with assert_shards(4):
            assert await Visit.objects.acount() == 60
            found = [visit async for visit in Visit.objects.order_by("ms", "pk")]
            assert found == sorted(visits, key=lambda visit: (visit.ms, visit.pk))
            streamed = [visit.pk async for visit in Visit.objects.order_by("pk").aiterator(chunk_size=7)]
            assert streamed == sorted(visit.pk for visit in visits)
            assert await Visit.objects.aaggregate(total=Sum("ms")) == {"total": 120}
            assert (await Visit.objects.order_by("-ms", "pk").afirst()).ms == 4
            assert await Visit.objects.filter(ms=4).adelete() == (12, {"shop.Visit": 12})

    run(work)


def test_related_rows(visits: list[Visit]) -> None:
    async def work() -> None:
        visitor = await Visitor.objects.prefetch_related("visits").aget(pk=visits[0].visitor_id)
        assert [visit.ms async for visit in visitor.visits.order_by("ms")] == [0, 1, 2, 3, 4]
        made = await visitor.visits.acreate(site_id=visitor.site_id, path="/new")
        assert await visitor.visits.acount() == 6
        assert made.visitor == visitor

    run(work)


def test_bulk_writes(sites: list[Site]) -> None:
    async def work() -> None:
        tags = await Tag.objects.abulk_create([Tag(site=site, name="x") for site in sites])
        for tag in tags:
            tag.name = "y"
        assert await Tag.objects.abulk_update(tags, ["name"]) == 12
        assert await Tag.objects.filter(name="y").acount() == 12
        assert len(await Tag.objects.ain_bulk([tag.pk for tag in tags])) == 12

    run(work)


def test_a_transaction_in_a_task_is_one_of_its_thread(sites: list[Site]) -> None:
    @sync_to_async
    def fail() -> None:
        with atomic(using="track"):
            Tag.objects.bulk_create([Tag(site=site, name="x") for site in sites])
            raise KeyError

    async def work() -> None:
        with pytest.raises(KeyError):
            await fail()
        assert await Tag.objects.acount() == 0

    run(work)


def test_blocks_hold_across_await_and_not_across_tasks(sites: list[Site], visits: list[Visit]) -> None:
    held = {shard: rows_of_shard(Visit, shard) for shard in get_group("track").shard_names}

    async def pinned(shard: str) -> None:
        with using_shard(shard):
            for _ in range(3):
                assert {pk async for pk in Visit.objects.values_list("pk", flat=True)} == held[shard]
                await asyncio.sleep(0)

    async def forbidden() -> None:
        with forbid_scatter():
            await asyncio.sleep(0)
            with pytest.raises(ScatterForbidden):
                await Visit.objects.acount()
            with allow_scatter():
                assert await Visit.objects.acount() == 60

    async def free() -> None:
        for _ in range(3):
            assert await Visit.objects.acount() == 60
            await asyncio.sleep(0)

    async def work() -> None:
        await asyncio.gather(*map(pinned, held), forbidden(), free())

    run(work)


def test_a_task_begins_with_the_blocks_of_whoever_made_it(visits: list[Visit]) -> None:
    async def work() -> None:
        with using_shard("track-2"):
            task = asyncio.create_task(Visit.objects.acount())
        assert await Visit.objects.acount() == 60
        assert await task == len(rows_of_shard_now)

    rows_of_shard_now = rows_of_shard(Visit, "track-2")
    run(work)
