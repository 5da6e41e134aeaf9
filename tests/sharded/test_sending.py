"""A statement is sent to all shards before any answer is read, from the caller's own thread, where a driver can."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from unittest import mock

import pytest
from django.db import DatabaseError, OperationalError, connections
from django.db.backends.utils import CursorWrapper
from django.db.transaction import atomic
from django.test.utils import CaptureQueriesContext

from horizon_shards import on_each_shard, partial_results
from horizon_shards.backends.sharded import execute
from horizon_shards.backends.sharded.flight import sending
from horizon_shards.exceptions import ScatterTimeout
from horizon_shards.topology import get_group
from tests import settings
from tests.changed_databases import limited
from tests.sharded.rows import make_sites
from tests.sharded.test_faults import PATIENCE_SECONDS, SHARDS, late, shard_of, without_table
from tests.shop.models import Tag

pytestmark = [
    pytest.mark.django_db(databases=["default", "track"], transaction=True),
    pytest.mark.skipif(settings.ENGINE == "sqlite", reason="SQLite's driver does not send"),
]
#: A table that nobody else may read.
LOCK = {"mysql": "LOCK TABLES shop_tag WRITE", "postgresql": "LOCK TABLE shop_tag IN ACCESS EXCLUSIVE MODE"}
PAUSE_SECONDS = 3
PAUSE = {"mysql": f"SELECT SLEEP({PAUSE_SECONDS})", "postgresql": f"SELECT pg_sleep({PAUSE_SECONDS})"}
#: An answer that begins to come at once, and goes on for minutes.
ENDLESS = {
    "mysql": "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n WHERE x < 900) "
    "SELECT REPEAT('x', 30000), SLEEP(0.2) FROM n",
    "postgresql": "SELECT repeat('x', 30000), pg_sleep(0.2) FROM generate_series(1, 900)",
}
END_SESSION = {"mysql": "KILL {}", "postgresql": "SELECT pg_terminate_backend({})"}
#: Values that do not make a statement; psycopg looks at them later than at their number.
WRONG: dict[str, list[list[Any]]] = {"mysql": [[1, 2], []], "postgresql": [[1, 2], [], [object()]]}


@pytest.fixture
def tags(db: None) -> list[Tag]:
    """A tag of each of 60 sites, so that every shard has some; all connections are open."""
    tags = Tag.objects.bulk_create([Tag(site=site, name="x") for site in make_sites(60)])
    assert {shard_of(tag.site_id) for tag in tags} == set(SHARDS)
    return tags


@contextmanager
def one_thread() -> Iterator[None]:
    """No thread asks a shard in the block."""
    with mock.patch.object(execute, "Threads", None):
        yield


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A word for each time that threads ask."""
    used = []
    flight = execute.Threads

    def note(*args: Any) -> Any:
        used.append("threads")
        return flight(*args)

    monkeypatch.setattr(execute, "Threads", note)
    return used


def physical(shard: str) -> Any:
    return connections[get_group("track").primaries[shard]]


@contextmanager
def beside(shard: str) -> Iterator[Any]:
    """A cursor of another session on the shard's server, inside a transaction."""
    connection = physical(shard)
    with closing(connection.get_new_connection(connection.get_connection_params())) as raw:
        raw.autocommit(False) if connection.vendor == "mysql" else raw.set_autocommit(False)
        with closing(raw.cursor()) as cursor:
            yield cursor


@contextmanager
def locked(shard: str) -> Iterator[None]:
    """Another session has the shard's table of tags for itself."""
    with beside(shard) as cursor:
        cursor.execute(LOCK[settings.ENGINE])
        yield


def usable() -> bool:
    """Whether reads, and writes in one transaction, go through on all shards."""
    with atomic(using="track"):
        Tag.objects.update(name="y")
        count = Tag.objects.filter(name="y").count()
    return count == 60 and len(Tag.objects.all()) == 60


# What is asked.


def test_one_thread_asks_all_shards(tags: list[Tag]) -> None:
    expected = sorted(tag.pk for tag in tags)
    with one_thread():
        assert Tag.objects.count() == 60
        assert [tag.pk for tag in Tag.objects.order_by("pk")] == expected
        assert list(Tag.objects.order_by("pk").values_list("pk", flat=True)[50:55]) == expected[50:55]
        assert on_each_shard("SELECT %s", ["50 %"], using="track") == {shard: [("50 %",)] for shard in SHARDS}


def test_all_shards_are_asked_at_once(tags: list[Tag]) -> None:
    began = time.monotonic()
    with one_thread():
        on_each_shard(PAUSE[settings.ENGINE], using="track")
    assert PAUSE_SECONDS <= time.monotonic() - began < len(SHARDS) * PAUSE_SECONDS


def test_in_a_transaction_threads_begin(tags: list[Tag], threads: list[str]) -> None:
    with atomic(using="track"):
        assert Tag.objects.count() == 60
        begun = len(threads)
        Tag.objects.filter(pk=tags[0].pk).update(name="new")
        assert Tag.objects.filter(name="new").count() == 1
        assert len(Tag.objects.all()) == 60
        assert begun == len(threads) == 1


def test_a_statement_that_does_not_fit_into_a_socket(tags: list[Tag]) -> None:
    text = "x" * 8_000_000
    with one_thread():
        found = on_each_shard("SELECT LENGTH(%s), %s", [text, text], using="track")
    assert found == {shard: [(len(text), text)] for shard in SHARDS}


def test_bytes_that_are_no_text(tags: list[Tag]) -> None:
    with one_thread():
        found = on_each_shard("SELECT LENGTH(%s)", [bytes(range(256))], using="track")
    assert found == {shard: [(256,)] for shard in SHARDS}


def test_each_statement_is_logged_once(tags: list[Tag]) -> None:
    with one_thread(), CaptureQueriesContext(connections["track"]) as captured:  # type: ignore[arg-type]
        assert Tag.objects.filter(name="x").count() == 60
    assert sorted((entry["shard"], "'x'" in entry["sql"]) for entry in captured) == [(shard, True) for shard in SHARDS]


# Where threads ask.


def test_whoever_stands_between_is_asked_in_threads(tags: list[Tag], threads: list[str]) -> None:
    """It may change the statement, or measure how long it takes."""
    seen: list[str] = []

    def look(execute: Any, sql: str, *rest: Any) -> Any:
        seen.append(sql)
        return execute(sql, *rest)

    with physical("track-2").execute_wrapper(look):
        assert Tag.objects.count() == 60
    assert len(threads) == len(seen) == 1


def test_a_cursor_of_somebody_else(tags: list[Tag], threads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(CursorWrapper):
        """As a toolbar brings."""

    connection = physical("track-2")
    monkeypatch.setattr(connection, "make_cursor", lambda cursor: Other(cursor, connection))
    assert Tag.objects.count() == 60
    assert threads == ["threads"]


def test_rows_bit_by_bit(tags: list[Tag], threads: list[str]) -> None:
    """PostgreSQL's cursors on the server are declared by a statement of their own."""
    assert len(list(Tag.objects.order_by("pk").iterator(chunk_size=7))) == 60
    assert len(threads) == (settings.ENGINE == "postgresql")


def test_a_connection_that_is_to_be_checked_or_opened(tags: list[Tag], threads: list[str]) -> None:
    connection = physical("track-2")
    connection.close()
    assert Tag.objects.count() == 60
    assert len(threads) == 1
    connection.health_check_enabled, connection.health_check_done = True, False
    assert Tag.objects.count() == 60
    assert len(threads) == 2
    assert Tag.objects.count() == 60
    assert len(threads) == 2


# What fails.


def test_a_shard_that_does_not_answer_is_late(tags: list[Tag]) -> None:
    with locked("track-3"), one_thread():
        late(Tag.objects.count, ("track-3",), match="track-3")
        late(lambda: list(Tag.objects.order_by("name")), ("track-3",))
    assert usable()


def test_a_shard_that_is_late_in_a_transaction(tags: list[Tag]) -> None:
    here = next(tag for tag in tags if shard_of(tag.site_id) == "track-1")

    def ask() -> None:
        with atomic(using="track"):
            Tag.objects.filter(pk=here.pk).update(name="lost")
            Tag.objects.count()

    with locked("track-3"):
        late(ask, ("track-3",))
    assert not Tag.objects.filter(name="lost").exists()
    assert usable()


def test_an_answer_that_does_not_end_is_late(tags: list[Tag]) -> None:
    with one_thread():
        late(lambda: on_each_shard(ENDLESS[settings.ENGINE], using="track"), SHARDS)
    assert usable()


def test_the_first_error_cancels_the_rest(tags: list[Tag]) -> None:
    with without_table("track-1"), locked("track-3"), one_thread():
        began = time.monotonic()
        with pytest.raises(DatabaseError, match="shard 'track-1'") as caught:
            Tag.objects.count()
        assert time.monotonic() - began < PATIENCE_SECONDS
        assert caught.value.shard == "track-1"  # type: ignore[attr-defined]
    assert usable()


def test_what_cannot_be_sent(tags: list[Tag]) -> None:
    for params in WRONG[settings.ENGINE]:
        with one_thread(), pytest.raises((TypeError, DatabaseError)):
            on_each_shard("SELECT %s", params, using="track")
    assert usable()


@pytest.mark.parametrize("shard", [SHARDS[0], SHARDS[3]])
def test_a_session_that_was_ended(tags: list[Tag], shard: str) -> None:
    connection = physical(shard)
    raw = connection.connection
    number = raw.thread_id() if connection.vendor == "mysql" else raw.info.backend_pid
    with beside(shard) as cursor:
        cursor.execute(END_SESSION[connection.vendor].format(number))
    with pytest.raises(OperationalError, match=rf"shard '{shard}'"):
        Tag.objects.count()
    connection.close()
    assert usable()


def test_a_server_that_does_not_even_cancel(tags: list[Tag], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its connection is closed, so that the next statement does not meet the answer to this one."""
    monkeypatch.setattr(sending, "cancel", lambda connection, handle: None)
    monkeypatch.setattr(sending, "LAST_SECONDS", 0.1)
    with locked("track-3"), one_thread():
        late(Tag.objects.count, ("track-3",))
        assert physical("track-3").connection is None
        assert physical("track-1").connection is not None
    monkeypatch.undo()
    assert usable()


def test_partial_results_go_without_the_late(tags: list[Tag], threads: list[str]) -> None:
    here = sum(shard_of(tag.site_id) != "track-3" for tag in tags)
    with limited("track", partial="return", scatter_timeout_seconds=5), locked("track-3"):
        with partial_results() as missing:
            assert Tag.objects.count() == here
        assert [each.shard for each in missing] == ["track-3"]
        assert isinstance(missing[0].error, ScatterTimeout)
    assert not threads
    assert usable()


def test_an_interrupt_leaves_no_answer_behind(tags: list[Tag], monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the answers are waited for: none may be taken for the answer to a later statement."""

    def interrupt(*args: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, one_thread(), pytest.raises(KeyboardInterrupt):
        patch.setattr(sending.Sending, "wait", interrupt)
        Tag.objects.count()
    assert all(physical(shard).connection is None for shard in SHARDS)
    assert usable()
