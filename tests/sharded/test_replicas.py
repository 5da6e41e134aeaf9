"""Reads outside of a transaction go to replicas; what was just written is read from the primary.

A replica here is a SQLite file of its own: a row that only it has says that it was read.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, models, transaction
from django.http import HttpResponse
from django.test import AsyncRequestFactory, RequestFactory

from horizon_shards.backends.sharded import replicas
from horizon_shards.context import own_writes, reading_from_primary
from horizon_shards.directory.connection import close_all
from horizon_shards.exceptions import ConfigurationError
from horizon_shards.middleware import COOKIE, read_your_writes
from horizon_shards.topology import get_group
from tests.changed_databases import databases
from tests.fresh_directory import make_tables
from tests.shop.models import Tag

pytestmark = [pytest.mark.sqlite_only, pytest.mark.filterwarnings("error")]
STORAGE = ("one", "one_ro", "two", "two_ro")


def entry(path: Path) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "TEST": {}}


@pytest.fixture
def group(tmp_path: Path, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    """The settings of ``track`` on two shards with a replica each; every test begins without a write."""
    track = {
        "ENGINE": "horizon_shards.backends.sharded",
        "SHARDS": {
            "track-1": {"PRIMARY": "one", "REPLICAS": ["one_ro"]},
            "track-2": {"PRIMARY": "two", "REPLICAS": ["two_ro"]},
        },
        "MAPPING": {"BACKEND": "horizon_shards.mapping.BucketMapping", "OPTIONS": {"BUCKETS": 64}},
        "DIRECTORY": "copy_directory",
        "SCATTER": "allow",
        "TEST": {},
    }
    storage = {alias: entry(tmp_path / alias) for alias in (*STORAGE, "copy_directory")}
    replicas.forget_failures()
    with django_db_blocker.unblock(), databases(track=track, **storage), own_writes({}):
        for alias in STORAGE:
            with connections[alias].schema_editor() as editor:
                editor.create_model(Tag)
        make_tables("copy_directory")
        yield track
        close_all()
        for alias in (*STORAGE, "copy_directory"):
            connections[alias].close()
        connections["track"].close()


def sites() -> tuple[int, int]:
    """A site on each shard."""
    mapping = get_group("track").mapping
    found: dict[str, int] = {}
    for site in range(1, 500):
        found.setdefault(str(mapping.place(site)), site)
    return found["track-1"], found["track-2"]


def mark(alias: str, site: int, name: str) -> None:
    """A row in one database alone, written past the logical one."""
    with connections[alias].cursor() as cursor:
        cursor.execute("INSERT INTO shop_tag (id, site_id, name) VALUES (%s, %s, %s)", [hash(name) % 10**9, site, name])


def names(**conditions: Any) -> list[str]:
    return sorted(Tag.objects.filter(**conditions).values_list("name", flat=True))


@pytest.fixture
def marked(group: dict[str, Any]) -> tuple[int, int]:
    """Each database has a row with its own name."""
    one, two = sites()
    for alias, site in zip(STORAGE, (one, one, two, two), strict=True):
        mark(alias, site, alias)
    return one, two


def test_reads_go_to_the_replica_of_the_right_shard(marked: tuple[int, int]) -> None:
    one, two = marked
    assert names(site=one) == ["one_ro"]
    assert names(site=two) == ["two_ro"]
    assert names() == ["one_ro", "two_ro"]
    assert Tag.objects.filter(site=one, name="one_ro").count() == 1
    assert [tag.name for tag in Tag.objects.order_by("name").iterator()] == ["one_ro", "two_ro"]


def test_reads_of_a_transaction_go_to_the_primary(marked: tuple[int, int]) -> None:
    with transaction.atomic(using="track"):
        assert names(site=marked[0]) == ["one"]
        assert names() == ["one", "two"]
        assert Tag.objects.select_for_update().filter(site=marked[1]).get().name == "two"
    with own_writes({}), transaction.atomic(using="one"):
        assert names(site=marked[0]) == ["one"]
    with own_writes({}):
        assert names() == ["one_ro", "two_ro"]


def test_a_block_says_that_it_reads_from_the_primary(marked: tuple[int, int]) -> None:
    with reading_from_primary():
        assert names(site=marked[0]) == ["one"]
        assert names() == ["one", "two"]
    assert names() == ["one_ro", "two_ro"]


class Clock:
    """Goes on as a test says."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which own writes are remembered."""
    clock = Clock()
    monkeypatch.setattr("horizon_shards.context.monotonic", clock)
    return clock


def test_who_wrote_reads_that_shard_from_the_primary_for_a_time(
    marked: tuple[int, int], group: dict[str, Any], clock: Clock
) -> None:
    one, two = marked
    with databases(track={**group, "READS": {"MAX_LAG_SECONDS": 0, "CHECK_SECONDS": 0}}):
        assert get_group("track").config.reads.own_writes_seconds == 1
        Tag.objects.using("track").filter(site=one).update(name="new")
        assert names(site=one) == ["new"]
        assert names(site=two) == ["two_ro"]
        assert names() == ["new", "two_ro"]
        clock.now += 0.9
        assert names(site=one) == ["new"]
        clock.now += 0.2
        assert names(site=one) == ["one_ro"]


def test_the_time_begins_when_the_transaction_has_ended(
    marked: tuple[int, int], group: dict[str, Any], clock: Clock
) -> None:
    with databases(track={**group, "READS": {"MAX_LAG_SECONDS": 0, "CHECK_SECONDS": 0}}):
        with transaction.atomic(using="track"):
            Tag.objects.using("track").filter(site=marked[0]).update(name="new")
            assert names(site=marked[0]) == ["new"]
            clock.now += 1.2
        assert names(site=marked[0]) == ["new"]
        clock.now += 1.1
        assert names(site=marked[0]) == ["one_ro"]


def test_who_is_about_to_write_looks_on_the_primary(marked: tuple[int, int]) -> None:
    found, created = Tag.objects.get_or_create(site_id=marked[0], name="one")
    assert not created
    assert found.name == "one"


def test_refreshing_an_instance_asks_the_primary(marked: tuple[int, int]) -> None:
    tag = Tag.objects.create(site_id=marked[0], name="new")
    with own_writes({}):
        assert "new" not in names(site=marked[0])
        tag.refresh_from_db()
        Tag.objects.using("track").filter(pk=tag.pk).update(name="newer")
    with own_writes({}):
        tag.refresh_from_db(fields=["name"])
    assert tag.name == "newer"


def test_an_expression_is_read_back_from_the_primary(marked: tuple[int, int]) -> None:
    tag = Tag.objects.create(site_id=marked[0], name="new")
    tag.name = models.functions.Concat(models.F("name"), models.Value("er"))
    tag.save()
    with own_writes({}):
        tag.refresh_from_db()
        assert tag.name == "newer"


def test_other_threads_read_from_replicas(marked: tuple[int, int]) -> None:
    Tag.objects.create(site_id=marked[0], name="new")
    seen: list[list[str]] = []

    def read() -> None:
        seen.append(names(site=marked[0]))
        connections.close_all()

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert seen == [["one_ro"]]
    assert names(site=marked[0]) == ["new", "one"]


def run_async(main: Any) -> Any:
    """As ``asyncio.run``; Django's thread for such code lives on, and is to know nothing of this test's files."""

    def forget() -> None:
        for alias in (*STORAGE, "copy_directory", "track"):
            connections[alias].close()
            del connections[alias]
        close_all()

    async def run() -> Any:
        try:
            return await main
        finally:
            await sync_to_async(forget)()

    return asyncio.run(run())


def test_tasks_know_their_own_writes(marked: tuple[int, int]) -> None:
    async def write() -> list[str]:
        await Tag.objects.acreate(site_id=marked[0], name="new")
        return sorted([tag.name async for tag in Tag.objects.filter(site=marked[0])])

    async def read() -> list[str]:
        return [tag.name async for tag in Tag.objects.filter(site=marked[0])]

    async def both() -> tuple[list[str], list[str]]:
        return await asyncio.create_task(write()), await asyncio.create_task(read())

    assert run_async(both()) == (["new", "one"], ["one_ro"])


def test_a_replica_that_fails_is_left_alone_and_the_primary_answers(
    marked: tuple[int, int], tmp_path: Path, group: dict[str, Any]
) -> None:
    assert names() == ["one_ro", "two_ro"]
    connections["one_ro"].close()
    (tmp_path / "one_ro").rename(tmp_path / "away")
    (tmp_path / "one_ro").mkdir()
    assert names(site=marked[0]) == ["one"]
    assert names() == ["one", "two_ro"]
    (tmp_path / "one_ro").rmdir()
    (tmp_path / "away").rename(tmp_path / "one_ro")
    assert names(site=marked[0]) == ["one"]
    replicas.forget_failures()
    assert names(site=marked[0]) == ["one_ro"]


def test_the_error_of_a_replica_is_never_the_answer(marked: tuple[int, int]) -> None:
    """It may lag behind a migration."""
    with connections["one_ro"].cursor() as cursor:
        cursor.execute("ALTER TABLE shop_tag RENAME TO gone")
    assert names(site=marked[0]) == ["one"]
    assert names() == ["one", "two"]
    assert [tag.name for tag in Tag.objects.filter(site=marked[0]).iterator()] == ["one"]


def test_weights_share_the_reads_and_nought_takes_none(marked: tuple[int, int], group: dict[str, Any]) -> None:
    shards = {**group["SHARDS"], "track-1": {"PRIMARY": "one", "REPLICAS": {"one_ro": 1, "two_ro": 0}}}
    shards["track-2"] = {"PRIMARY": "two"}
    with databases(track={**group, "SHARDS": shards}):
        chosen = Counter(
            str(next(connections["track"].replicas._in_turn(get_group("track").shard("track-1")))) for _ in range(20)
        )
        assert chosen == {"one_ro": 20}
        assert names() == ["one_ro", "two"]
        connections["track"].close()


def test_a_thread_stays_with_its_replica(marked: tuple[int, int], group: dict[str, Any]) -> None:
    """So that it does not hold a connection to each."""
    mark("two_ro", marked[0], "other")
    shards = {"track-1": {"PRIMARY": "one", "REPLICAS": ["one_ro", "two_ro"]}, "track-2": {"PRIMARY": "two"}}
    with databases(track={**group, "SHARDS": shards}):
        assert len({tuple(names(site=marked[0])) for _ in range(20)}) == 1
        connections["track"].close()


def test_settings_may_keep_reads_on_the_primary(marked: tuple[int, int], group: dict[str, Any]) -> None:
    with databases(track={**group, "READS": {"FROM": "primary"}}):
        assert names() == ["one", "two"]
        connections["track"].close()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"READS": {"FROM": "anywhere"}}, "FROM"),
        ({"READS": {"MAX_LAG": 3}}, "MAX_LAG_SECONDS"),
        ({"READS": {"MAX_LAG_SECONDS": -1}}, "MAX_LAG_SECONDS"),
        ({"SHARDS": {"track-1": {"PRIMARY": "one", "REPLICAS": {"one_ro": -1}}}}, "one_ro"),
        ({"SHARDS": {"track-1": {"PRIMARY": "one", "REPLICAS": "one_ro"}}}, "REPLICAS"),
    ],
)
def test_settings_that_cannot_work(group: dict[str, Any], change: dict[str, Any], named: str) -> None:
    with databases(track={**group, **change}), pytest.raises(ConfigurationError, match=named):
        get_group("track")


def test_test_databases_have_no_replicas(marked: tuple[int, int], group: dict[str, Any]) -> None:
    with databases(track={**group, "TEST": {"MADE_FOR_SHARDS": {}}}):
        assert names() == ["one", "two"]
        connections["track"].close()


def test_queries_of_replicas_are_logged_and_wrapped(marked: tuple[int, int]) -> None:
    logical = connections["track"]
    asked: list[str] = []

    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append(context["connection"].alias)
        return execute(sql, params, many, context)

    logical.force_debug_cursor = True
    logical.queries_log.clear()
    with logical.execute_wrapper(wrapper):
        names(site=marked[0])
    logical.force_debug_cursor = False
    assert [query["shard"] for query in logical.queries] == ["track-1"]
    assert asked == ["one_ro"]


# The middleware.


def ask(site: int, cookies: dict[str, str], *, write: bool = False) -> HttpResponse:
    """A request through the middleware that reads, perhaps after a write."""

    def view(request: Any) -> HttpResponse:
        if write:
            Tag.objects.create(site_id=site, name="new")
        return HttpResponse(" ".join(names(site=site)))

    request = RequestFactory().get("/")
    request.COOKIES.update(cookies)
    response: HttpResponse = read_your_writes(view)(request)
    return response


def test_the_next_request_of_the_client_reads_what_it_wrote(marked: tuple[int, int]) -> None:
    one = marked[0]
    assert ask(one, {}).content == b"one_ro"
    assert COOKIE not in ask(one, {}).cookies
    response = ask(one, {}, write=True)
    assert response.content == b"new one"
    cookie = response.cookies[COOKIE]
    assert cookie["httponly"]
    assert 0 < int(cookie["max-age"]) <= 9
    assert ask(one, {COOKIE: cookie.value}).content == b"new one"
    assert ask(one, {}).content == b"one_ro"


@pytest.mark.parametrize("value", ["", "nonsense", '{"track": 99999999999}', '{"track": 99999999999}:AAAA'])
def test_a_cookie_that_was_not_set_here_says_nothing(marked: tuple[int, int], value: str) -> None:
    assert ask(marked[0], {COOKIE: value}).content == b"one_ro"


def test_the_middleware_of_an_async_view(marked: tuple[int, int]) -> None:
    async def view(request: Any) -> HttpResponse:
        if "write" in request.GET:
            await Tag.objects.acreate(site_id=marked[0], name="new")
        found = [tag.name async for tag in Tag.objects.filter(site=marked[0]).order_by("name")]
        return HttpResponse(" ".join(found))

    async def run() -> tuple[bytes, bytes, bytes]:
        answer: Any = read_your_writes(view)
        first = await answer(AsyncRequestFactory().get("/", {"write": "1"}))
        request = AsyncRequestFactory().get("/")
        request.COOKIES[COOKIE] = first.cookies[COOKIE].value
        second = await answer(request)
        third = await answer(AsyncRequestFactory().get("/"))
        return first.content, second.content, third.content

    assert run_async(run()) == (b"new one", b"new one", b"one_ro")
