"""Blocks that pin a shard, and the policies on scatter, in threads and tasks too."""

from __future__ import annotations

import asyncio
import inspect
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection as default_connection
from django.db import connections
from django.db.models import Count
from django.db.transaction import atomic

from horizon_shards import allow_scatter, forbid_scatter, using_shard
from horizon_shards.context import pinned_shard, scatter_policy
from horizon_shards.exceptions import QueryNotSupported, ScatterForbidden, ScatterWarning, UnknownShard
from horizon_shards.testing import assert_single_shard
from horizon_shards.topology import get_group
from tests.sharded.rows import rows_of_shard
from tests.shop.models import Customer, Entry, Tag, Visit, Visitor

pytestmark = pytest.mark.django_db(databases=["default", "track", "crm", "log"])
SHARDS = ("track-1", "track-2", "track-3", "track-4")


def table_of(model: type) -> str:
    """The quoted table of a model."""
    return connections["track"].ops.quote_name(model._meta.db_table)


# A pinned shard.


def test_raw_sql_runs_on_the_pinned_shard(visits: list[Visit]) -> None:
    sql = f"SELECT * FROM {table_of(Visit)} ORDER BY id"
    for shard in SHARDS:
        held = rows_of_shard(Visit, shard)
        with using_shard(shard):
            with connections["track"].cursor() as cursor:
                cursor.execute(f"SELECT id FROM {table_of(Visit)}")
                assert {pk for (pk,) in cursor.fetchall()} == held
            assert {visit.pk for visit in Visit.objects.raw(sql)} == held
            assert {visit.pk for visit in Visit.objects.extra(where=["ms >= 0"])} == held
            with assert_single_shard(shard):
                assert Visit.objects.count() == len(held)
                assert sum(row["n"] for row in Visit.objects.values("path").annotate(n=Count("pk"))) == len(held)
    assert sum(len(rows_of_shard(Visit, shard)) for shard in SHARDS) == 60


def test_raw_rows_keep_their_logical_database(visits: list[Visit]) -> None:
    shard = get_group("track").mapping.resolve(visits[0].site_id)
    with using_shard(shard):
        row = Visit.objects.raw(f"SELECT * FROM {table_of(Visit)} WHERE id = %s", [visits[0].pk])[0]
    assert (row._state.db, row.token) == ("track", visits[0].token)
    row.path = "/changed"
    with assert_single_shard(shard):
        row.save()


def test_raw_sql_writes_to_the_pinned_shard_alone(visits: list[Visit]) -> None:
    with using_shard("track-2"), connections["track"].cursor() as cursor:
        cursor.execute(f"UPDATE {table_of(Visit)} SET path = %s", ["/here"])
    assert set(Visit.objects.filter(path="/here").values_list("pk", flat=True)) == rows_of_shard(Visit, "track-2")


def test_raw_sql_without_a_pin_names_the_cure(visits: list[Visit]) -> None:
    sql = f"SELECT * FROM {table_of(Visit)}"
    for ask in (
        lambda: connections["track"].cursor().execute(sql),
        lambda: list(Visit.objects.raw(sql)),
        lambda: list(Visit.objects.extra(where=["ms > 0"])),
    ):
        with pytest.raises(QueryNotSupported, match="using_shard") as caught:
            ask()
        assert caught.value.reason == "raw-sql"


def test_a_block_inside_a_block_holds_until_its_end(visits: list[Visit]) -> None:
    with using_shard("track-1"):
        with using_shard("track-2"):
            assert pinned_shard("track") == "track-2"
            with using_shard("crm-a"):
                assert (pinned_shard("track"), pinned_shard("crm")) == ("track-2", "crm-a")
        assert (pinned_shard("track"), pinned_shard("crm")) == ("track-1", None)
        with pytest.raises(KeyError), using_shard("track-3"):
            raise KeyError
        assert pinned_shard("track") == "track-1"
    assert pinned_shard("track") is None
    assert Visit.objects.count() == 60


@pytest.mark.parametrize(
    ("shard", "database", "says"),
    [
        ("track-9", None, "'track-9'; there are 'track-1'.*'log-2'"),
        ("track-9", "track", "'track' has no shard 'track-9'; it has 'track-1'"),
        ("crm-a", "track", "'track' has no shard 'crm-a'"),
        ("track_1", None, "'track_1'"),
    ],
)
def test_a_shard_that_is_none_is_named(shard: str, database: str | None, says: str) -> None:
    with pytest.raises(UnknownShard, match=says), using_shard(shard, database=database):
        pytest.fail("the block began")


def test_a_pin_concerns_its_own_database_alone(sites: list[Any]) -> None:
    with using_shard("track-1"):
        customer = Customer.objects.create(tenant="a", name="x")
        assert Customer.objects.filter(tenant="a").get() == customer
        assert len(sites) == 12
        with default_connection.cursor() as cursor:
            cursor.execute("SELECT 1")


# Threads and tasks.


def test_threads_begin_without_the_callers_blocks() -> None:
    with using_shard("track-1"), forbid_scatter(), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: (pinned_shard("track"), scatter_policy())).result() == (None, None)
        assert (pinned_shard("track"), scatter_policy()) == ("track-1", "forbid")


def test_a_block_in_a_thread_stays_in_it() -> None:
    inside, leave = threading.Event(), threading.Event()

    def pin() -> None:
        with using_shard("track-1"), forbid_scatter():
            inside.set()
            assert leave.wait(60)

    with ThreadPoolExecutor(1) as pool:
        pinned = pool.submit(pin)
        assert inside.wait(60)
        assert (pinned_shard("track"), scatter_policy()) == (None, None)
        leave.set()
        pinned.result()


def test_tasks_that_take_turns_keep_their_own_blocks() -> None:
    seen: dict[str, set[str | None]] = {shard: set() for shard in SHARDS}

    async def task(shard: str) -> None:
        with using_shard(shard):
            for _ in range(5):
                await asyncio.sleep(0)
                seen[shard].add(pinned_shard("track"))
                seen[shard].add(await sync_to_async(pinned_shard)("track"))

    async def all_tasks() -> None:
        await asyncio.gather(*map(task, SHARDS))
        assert pinned_shard("track") is None

    asyncio.run(all_tasks())
    assert seen == {shard: {shard} for shard in SHARDS}


# Scatter policies.


def test_forbid_names_model_reason_and_cure(visits: list[Visit]) -> None:
    with forbid_scatter():
        with pytest.raises(
            ScatterForbidden, match=r"shop\.Visit asks 4 shards of 'track'.*allow_scatter\(\)"
        ) as caught:
            Visit.objects.count()
        assert caught.value.reason == "scatter-forbidden"
        with pytest.raises(ScatterForbidden):
            list(Visit.objects.order_by("pk")[:3])
        with pytest.raises(ScatterForbidden), atomic(using="track"):
            Visit.objects.update(ms=1)
        with pytest.raises(ScatterForbidden), atomic(using="track"):
            Visit.objects.filter(ms=1).delete()
        assert Visit.objects.filter(site=visits[0].site_id).count() == 5
        with allow_scatter():
            assert Visit.objects.count() == 60
        assert scatter_policy() == "forbid"
    assert Visit.objects.filter(ms=1).count() == 12


def test_the_settings_policy_holds_where_no_block_does(db: None) -> None:
    with pytest.raises(ScatterForbidden, match=r"shop\.Entry asks 2 shards of 'log'"):
        Entry.objects.count()
    with allow_scatter():
        assert Entry.objects.count() == 0


def asked_from(ask: Callable[[], Any]) -> list[warnings.WarningMessage]:
    """The warnings that asking three times in one line gives."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            ask()
    return caught


def test_warn_names_the_callers_line_once(db: None) -> None:
    def ask() -> None:
        Customer.objects.count()

    told = asked_from(ask)
    assert [warning.category for warning in told] == [ScatterWarning]
    assert Path(told[0].filename) == Path(__file__)
    assert told[0].lineno == inspect.getsourcelines(ask)[1] + 1
    assert "shop.Customer asks 3 shards of 'crm'" in str(told[0].message)


def test_each_line_is_warned_for_itself(db: None) -> None:
    def ask() -> None:
        list(Customer.objects.all())
        list(Customer.objects.order_by("name"))
        Customer.objects.filter(name="x").update(name="y")

    first = inspect.getsourcelines(ask)[1]
    assert [told.lineno for told in asked_from(ask)] == [first + 1, first + 2, first + 3]


def test_a_warning_can_be_made_an_error_or_be_allowed(db: None) -> None:
    with pytest.raises(ScatterWarning):
        Customer.objects.count()
    with allow_scatter():
        assert Customer.objects.count() == 0
    assert asked_from(lambda: Customer.objects.filter(tenant="a").count()) == []


def test_related_rows_of_one_site_need_no_scatter(visits: list[Visit]) -> None:
    with forbid_scatter():
        visitor = Visitor.objects.get(pk=visits[0].visitor_id)
        assert visitor.visits.count() == 5
        assert not Tag.objects.filter(site=visitor.site_id).exists()
