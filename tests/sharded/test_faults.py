"""A shard that is down, misses a table, or does not answer: named, and no matter of the others."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connections
from django.db.transaction import atomic

from horizon_shards.backends.sharded.cancel import cancel
from horizon_shards.exceptions import ScatterTimeout
from horizon_shards.signals import shard_failed
from horizon_shards.topology import get_group
from tests import settings
from tests.changed_databases import databases, limited
from tests.sharded.rows import make_sites
from tests.shop.models import Site, Tag

pytestmark = pytest.mark.django_db(databases=["default", "track"], transaction=True)
SHARDS = ("track-1", "track-2", "track-3", "track-4")
#: Far less than what is endless takes, far more than a busy machine needs.
PATIENCE_SECONDS = 40
#: What each engine takes very long to answer.
ENDLESS = {
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1e9) SELECT max(x) FROM n",
    "mysql": "SELECT SLEEP(60)",
    "postgresql": "SELECT pg_sleep(60)",
}


@pytest.fixture
def tags(db: None) -> list[Tag]:
    """A tag of each of 60 sites, so that every shard has some."""
    tags = Tag.objects.bulk_create([Tag(site=site, name="x") for site in make_sites(60)])
    assert {shard_of(tag.site_id) for tag in tags} == set(SHARDS)
    return tags


def shard_of(site: int) -> str | None:
    return get_group("track").mapping.resolve(site)


@contextmanager
def down(shard: str, folder: Path) -> Iterator[str]:
    """The alias of the shard's database, which cannot be reached in the block."""
    alias = get_group("track").primaries[shard]
    before = connections.settings[alias]
    gone = {"NAME": str(folder / "gone" / "x.sqlite3")} if settings.ENGINE == "sqlite" else {"PORT": "1"}
    connections["track"].close()
    with databases(**{alias: {**before, **gone}}):
        yield alias


@contextmanager
def slow(shard: str, *, after_seconds: float = 0) -> Iterator[Event]:
    """The shard, once it has begun, does not come to an end with what it is asked; set when it has begun."""
    connection = connections[get_group("track").primaries[shard]]
    begun = Event()

    def wait(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        # A driver that still connects cannot be told to cancel.
        if Tag._meta.db_table in sql:
            begun.set()
            time.sleep(after_seconds)
            execute(ENDLESS[connection.vendor], None, False, context)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(wait):
        yield begun


def late(ask: Callable[[], Any], shards: tuple[str, ...], *, match: str | None = None) -> None:
    """What is asked ends at the deadline because these shards, and no others, had not answered.

    On a busy machine other shards may be late as well: then the deadline is set further away.
    """
    for seconds in (0.3, 3, 20):
        began = time.monotonic()
        with limited("track", scatter_timeout_seconds=seconds), pytest.raises(ScatterTimeout, match=match) as caught:
            ask()
        assert seconds <= time.monotonic() - began < seconds + PATIENCE_SECONDS
        if caught.value.shards == shards:
            return
    assert caught.value.shards == shards


@contextmanager
def held(shard: str, until: Event) -> Iterator[None]:
    """The shard does nothing before the event."""

    def wait(execute: Callable[..., Any], *call: Any) -> Any:
        assert until.wait(PATIENCE_SECONDS)
        return execute(*call)

    with connections[get_group("track").primaries[shard]].execute_wrapper(wait):
        yield


@contextmanager
def without_table(shard: str) -> Iterator[None]:
    """The shard has lost the table of tags."""
    connection = connections[get_group("track").primaries[shard]]
    table = connection.ops.quote_name(Tag._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO lost_tags")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE lost_tags RENAME TO {table}")


# A shard that is down.


@pytest.mark.parametrize("shard", [SHARDS[0], SHARDS[2]])
def test_a_shard_that_is_down_is_named(tags: list[Tag], shard: str, tmp_path: Path) -> None:
    with down(shard, tmp_path) as alias:
        for ask in (
            lambda: Tag.objects.count(),
            lambda: list(Tag.objects.order_by("name")),
            lambda: list(Tag.objects.order_by("pk").iterator(chunk_size=5)),
            lambda: Tag.objects.update(name="y"),
            lambda: list(Tag.objects.filter(site=next(t.site_id for t in tags if shard_of(t.site_id) == shard))),
        ):
            with pytest.raises(OperationalError, match=rf"shard '{shard}' \(database '{alias}'\)") as caught:
                ask()
            assert caught.value.shard == shard
    assert Tag.objects.filter(name="x").count() == 60


@pytest.mark.parametrize("shard", [SHARDS[0], SHARDS[2]])
def test_the_other_shards_go_on(tags: list[Tag], shard: str, tmp_path: Path) -> None:
    here = [tag for tag in tags if shard_of(tag.site_id) != shard]
    with down(shard, tmp_path):
        for tag in here[:12]:
            assert Tag.objects.get(pk=tag.pk) == tag
            assert Tag.objects.filter(site=tag.site_id).count() == 1
            made = Tag.objects.create(site_id=tag.site_id, name="new")
            made.name = "changed"
            made.save()
            assert Tag.objects.filter(site=tag.site_id, name="changed").update(name="last") == 1
            with atomic(using="track"):
                assert made.delete()[0] == 1
        assert len(Tag.objects.filter(site__in=[tag.site_id for tag in here])) == len(here)


@pytest.mark.parametrize("shard", [SHARDS[0], SHARDS[2]])
def test_the_logical_connection_answers_for_its_engine(tags: list[Tag], shard: str, tmp_path: Path) -> None:
    with down(shard, tmp_path):
        connection = connections["track"]
        assert connection.vendor == settings.ENGINE
        assert connection.features.has_bulk_insert
        assert isinstance(connection.features.supports_json_field, bool)
        assert connection.ops.quote_name("a") in ('"a"', "`a`")
        assert connection.data_types["IntegerField"]


@pytest.fixture
def told() -> Iterator[list[tuple[str, str, str]]]:
    """What ``shard_failed`` says."""
    heard: list[tuple[str, str, str]] = []

    def listen(sender: str, shard: str, error: Exception, **kwargs: Any) -> None:
        heard.append((sender, shard, type(error).__name__))

    shard_failed.connect(listen)
    yield heard
    shard_failed.disconnect(listen)


def test_listeners_hear_of_the_shard_that_failed_alone(tags: list[Tag], told: list[Any], tmp_path: Path) -> None:
    with down("track-2", tmp_path), slow("track-4"), pytest.raises(OperationalError, match="track-2"):
        Tag.objects.count()
    assert told == [("track", "track-2", "OperationalError")]


def test_listeners_hear_of_a_shard_that_is_late(tags: list[Tag], told: list[Any]) -> None:
    with slow("track-3"):
        late(Tag.objects.count, ("track-3",))
    assert told[-1] == ("track", "track-3", "ScatterTimeout")


def test_a_transaction_that_meets_a_shard_that_is_down_changes_nothing(tags: list[Tag], tmp_path: Path) -> None:
    here = next(tag for tag in tags if shard_of(tag.site_id) != "track-3")
    with down("track-3", tmp_path):
        with pytest.raises(OperationalError, match="track-3"), atomic(using="track"):
            Tag.objects.filter(pk=here.pk).update(name="lost")
            Tag.objects.count()
        assert not connections["track"].in_atomic_block
        assert Tag.objects.get(pk=here.pk).name == "x"


class FailoverError(Exception):
    """As AWS's wrapper raises it: Django makes no error of its own of it."""

    __module__ = "aws_advanced_python_wrapper"


def test_an_error_that_is_none_of_djangos_names_the_shard(tags: list[Tag], told: list[Any]) -> None:
    here = next(tag for tag in tags if shard_of(tag.site_id) == "track-3")

    def fail(*call: Any) -> None:
        raise FailoverError("The active connection has changed.")

    with connections[get_group("track").primaries["track-3"]].execute_wrapper(fail):
        for ask in (
            Tag.objects.count,
            lambda: list(Tag.objects.order_by("name")),
            lambda: Tag.objects.get(pk=here.pk),
            lambda: Tag.objects.filter(site=here.site_id).count(),
            lambda: Tag.objects.update(name="y"),
        ):
            with pytest.raises(FailoverError, match=r"^shard 'track-3' .*: The active") as caught:
                ask()
            assert vars(caught.value)["shard"] == "track-3"
    assert told == [("track", "track-3", "FailoverError")] * 5
    assert Tag.objects.filter(name="x").count() == 60


# A shard that misses a table.


def test_a_shard_without_the_table_is_named(tags: list[Tag]) -> None:
    with without_table("track-2"):
        with pytest.raises(DatabaseError, match="shard 'track-2'"):
            list(Tag.objects.all())
        with pytest.raises(DatabaseError, match="shard 'track-2'"):
            list(Tag.objects.filter(site=next(t.site_id for t in tags if shard_of(t.site_id) == "track-2")))
        with pytest.raises(DatabaseError, match="shard 'track-2'"):
            Tag.objects.create(site_id=next(t.site_id for t in tags if shard_of(t.site_id) == "track-2"), name="z")
        others = [tag.site_id for tag in tags if shard_of(tag.site_id) != "track-2"]
        assert Tag.objects.filter(site__in=others).count() == len(others)
    assert Tag.objects.count() == 60


# A shard that does not answer.


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_deadline_names_the_late_shard_and_leaves_the_connections_usable(
    tags: list[Tag], in_transaction: bool
) -> None:
    here = next(tag for tag in tags if shard_of(tag.site_id) != "track-3")

    def ask() -> None:
        if in_transaction:
            with atomic(using="track"):
                Tag.objects.filter(site=here.site_id).update(name="lost")
                Tag.objects.count()
        else:
            Tag.objects.count()

    with slow("track-3"):
        late(ask, ("track-3",), match=r"track-3.* of 'track'.*\d s.*SCATTER_TIMEOUT_SECONDS")
    assert Tag.objects.filter(name="x").count() == 60
    with atomic(using="track"):
        assert Tag.objects.update(name="y") == 60
    assert Tag.objects.filter(name="y").count() == 60


def test_several_late_shards_are_all_named(tags: list[Tag]) -> None:
    with slow("track-1"), slow("track-4"):
        late(lambda: list(Tag.objects.order_by("pk")), ("track-1", "track-4"), match="track-1,.* track-4")


def test_a_late_write_is_rolled_back_everywhere(tags: list[Tag]) -> None:
    with slow("track-3"), limited("track", scatter_timeout_seconds=0.3), pytest.raises(ScatterTimeout):
        Tag.objects.update(name="half")
    assert Tag.objects.filter(name="x").count() == 60


def test_the_first_error_cancels_the_rest(tags: list[Tag]) -> None:
    with without_table("track-1"), slow("track-3") as begun, held("track-1", until=begun):
        began = time.monotonic()
        with pytest.raises(DatabaseError, match="shard 'track-1'"):
            Tag.objects.count()
        assert time.monotonic() - began < PATIENCE_SECONDS
    assert Tag.objects.count() == 60


def test_what_begins_after_it_was_cancelled_is_cancelled_too(tags: list[Tag]) -> None:
    with without_table("track-1"), slow("track-3", after_seconds=0.4) as begun, held("track-1", until=begun):
        began = time.monotonic()
        with pytest.raises(DatabaseError, match="shard 'track-1'"):
            Tag.objects.count()
        assert 0.4 <= time.monotonic() - began < PATIENCE_SECONDS
    assert Tag.objects.count() == 60


def test_a_connection_that_is_not_open_is_not_cancelled(tags: list[Tag], caplog: pytest.LogCaptureFixture) -> None:
    """Its shard waited for another one that failed, or has just begun to connect."""
    connection = connections["track_2"].copy()
    cancel(connection, handle=None)
    assert connection.connection is None
    assert not caplog.records


def test_a_query_that_has_not_begun_is_not_cancelled(tags: list[Tag], caplog: pytest.LogCaptureFixture) -> None:
    connection = connections["track_2"]
    connection.ensure_connection()
    cancel(connection, handle=None)
    assert Tag.objects.count() == 60
    assert not caplog.records


def test_no_deadline_where_none_is_set(tags: list[Tag]) -> None:
    with limited("track", scatter_timeout_seconds=None):
        assert Tag.objects.count() == 60


# Threads and processes.


def test_threads_ask_on_connections_of_their_own(tags: list[Tag]) -> None:
    seen: list[int] = []

    def ask(number: int) -> int:
        try:
            for tag in tags[number::12]:
                assert Tag.objects.get(pk=tag.pk) == tag
            seen.append(id(connections["track_1"]))
            return Tag.objects.count()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [60] * 4
    assert id(connections["track_1"]) not in seen


def test_more_threads_than_the_pool_has(tags: list[Tag]) -> None:
    def ask(number: int) -> int:
        try:
            return sum(Tag.objects.count() for _ in range(5))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(ask, range(12))) == [300] * 12


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_child_asks_all_shards(tags: list[Tag]) -> None:
    assert Tag.objects.count() == 60
    # A server's connection does not survive being used by two processes: that is Django's rule as well.
    connections.close_all()
    with warnings.catch_warnings():
        # Python warns of any fork beside threads, and there the pool's threads are.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            connections.close_all()
            status = 0 if Tag.objects.count() == 60 else 2
        finally:
            os._exit(status)
    deadline = time.monotonic() + 120
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
        assert time.monotonic() < deadline, "the child hangs"
        time.sleep(0.02)
    assert os.waitstatus_to_exitcode(ended[1]) == 0
    assert Tag.objects.count() == 60


def test_nothing_is_left_of_a_query_that_failed(tags: list[Tag], tmp_path: Path) -> None:
    with down("track-4", tmp_path):
        for _ in range(3):
            with pytest.raises(OperationalError):
                Tag.objects.count()
    for alias in get_group("track").primaries.values():
        assert not connections[alias].in_atomic_block
        assert not connections[alias].allow_thread_sharing
    assert Site.objects.count() == 60
