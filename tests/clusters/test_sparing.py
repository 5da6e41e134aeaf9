"""A process has no more connections than it may, gives up those that it does not use, and shares them where told."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.db import connections, transaction
from django.test import override_settings

from horizon_shards.backends.aurora_mysql.room import Room, _rooms, room_of
from horizon_shards.checks.connections import check_servers
from horizon_shards.context import own_writes, reading_from_primary
from horizon_shards.directory import connection as directory
from horizon_shards.exceptions import ConfigurationError, ConnectionLimit
from horizon_shards.rollout.economy import connections_of
from tests.changed_databases import databases
from tests.clusters.test_replicas import entry, track
from tests.fresh_directory import make_tables
from tests.servers.clusters import Cluster
from tests.servers.mariadb import Server
from tests.shop.models import Tag
from tests.waiting import PATIENCE_SECONDS, wait_until

NEVER_SECONDS = 100_000


@contextmanager
def request() -> Iterator[None]:
    """What Django does around a request, with the connections of the thread."""
    request_started.send(sender=None, environ={})
    try:
        yield
    finally:
        request_finished.send(sender=None)


def session(alias: str = "shard") -> int:
    """The number of the session that answers."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        return int(cursor.fetchone()[0])


def sessions(cluster: Cluster) -> set[int]:
    """The application's, as the server has them."""
    rows = cluster.primary.sql("SELECT id FROM information_schema.processlist WHERE user = 'app'")
    return {row["id"] for row in rows}


def in_threads(count: int, work: Callable[[], None]) -> list[BaseException]:
    """What the threads raised, after all have ended."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    return errors


@pytest.fixture(autouse=True)
def room(shard: Any) -> Iterator[Room]:
    """The room of the alias: one of the test's own, since a timer of an earlier one may be set for later."""
    _rooms.pop("shard", None)
    room = room_of("shard")
    yield room
    room.sweep(0.0)


class TestBound:
    def test_beyond_it_the_error_names_alias_and_setting(self, cluster: Cluster, shard: Any) -> None:
        mine = shard(CLUSTER={"MAX_CONNECTIONS": 1, "DEADLINE_SECONDS": 1})
        session()
        (error,) = in_threads(1, lambda: session() and None)
        assert isinstance(error, ConnectionLimit)
        assert error.alias == "shard"
        assert "database 'shard': this process has 1 connections to it" in str(error)
        assert "CLUSTER['MAX_CONNECTIONS']" in str(error)
        mine.close()
        assert in_threads(1, lambda: session() and None) == []

    def test_a_thread_waits_for_another_to_end_its_request(self, cluster: Cluster, shard: Any) -> None:
        shard(CLUSTER={"MAX_CONNECTIONS": 2, "DEADLINE_SECONDS": PATIENCE_SECONDS}, CONN_MAX_AGE=0)
        most: list[int] = []

        def serve() -> None:
            for _ in range(5):
                with request():
                    session()
                    most.append(room_of("shard").counts()[0])

        assert in_threads(6, serve) == []
        assert len(most) == 30
        assert max(most) == 2
        assert room_of("shard").counts() == (0, 0)

    def test_a_connection_that_was_lost_makes_room(self, cluster: Cluster, shard: Any, room: Room) -> None:
        shard(CLUSTER={"MAX_CONNECTIONS": 1, "DEADLINE_SECONDS": PATIENCE_SECONDS})
        cluster.primary.sql(f"KILL {session()}")
        with pytest.raises(Exception, match=r"2006|2013|1927"):
            session()
        assert room.counts() == (0, 0)
        session()
        assert room.counts() == (1, 0)

    def test_an_attempt_that_failed_makes_room(self, shard: Any, room: Room) -> None:
        connection = shard(CLUSTER={"MAX_CONNECTIONS": 1, "DEADLINE_SECONDS": 1}, PASSWORD="wrong")
        for _ in range(2):
            with pytest.raises(Exception, match="Access denied"):
                connection.ensure_connection()
        assert room.counts() == (0, 0)

    def test_a_thread_that_ended_without_closing_makes_room(self, cluster: Cluster, shard: Any) -> None:
        shard(CLUSTER={"MAX_CONNECTIONS": 1, "DEADLINE_SECONDS": PATIENCE_SECONDS})
        thread = threading.Thread(target=session)
        thread.start()
        thread.join()
        # Django's objects refer to each other: the collector has to come by.
        gc.collect()
        assert session()


class TestIdle:
    def test_what_was_not_used_for_so_long_is_closed_when_a_request_ends(
        self, cluster: Cluster, shard: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = shard(CLUSTER={"IDLE_SECONDS": NEVER_SECONDS})
        with request():
            first = session()
        with request():
            assert session() == first
        connection._used_at -= NEVER_SECONDS
        with request():
            assert connection.connection is None
        wait_until(lambda: first not in sessions(cluster), "the session has ended")

    def test_or_before_its_next_use(self, cluster: Cluster, shard: Any) -> None:
        connection = shard(CLUSTER={"IDLE_SECONDS": NEVER_SECONDS})
        first = session()
        connection._used_at -= NEVER_SECONDS
        assert session() != first

    def test_not_inside_a_transaction(self, cluster: Cluster, shard: Any) -> None:
        connection = shard(CLUSTER={"IDLE_SECONDS": NEVER_SECONDS})
        with transaction.atomic("shard"):
            first = session()
            connection._used_at -= NEVER_SECONDS
            assert session() == first


class TestPool:
    def test_more_threads_than_connections_share_them(self, cluster: Cluster, shard: Any, room: Room) -> None:
        shard(CLUSTER={"POOL": True, "MAX_CONNECTIONS": 2, "DEADLINE_SECONDS": PATIENCE_SECONDS}, CONN_MAX_AGE=0)
        seen: set[int] = set()

        def serve() -> None:
            for _ in range(5):
                with request():
                    seen.add(session())

        assert in_threads(6, serve) == []
        assert len(seen) <= 2
        assert room.counts() == (0, len(seen))
        assert seen == sessions(cluster)

    def test_the_next_one_finds_a_session_as_new(self, cluster: Cluster, shard: Any) -> None:
        shard(
            CLUSTER={"POOL": True},
            CONN_MAX_AGE=0,
            OPTIONS={"init_command": "SET @told = 1", "isolation_level": "repeatable read"},
        )
        ask = "SELECT @told, @left, @@lock_wait_timeout, @@tx_isolation, IS_USED_LOCK('left'), @@character_set_client"
        with connections["shard"].cursor() as cursor:
            cursor.execute(ask)
            fresh = cursor.fetchone()
        with request():
            first = session()
            with connections["shard"].cursor() as cursor:
                cursor.execute("SET @left = 1, @told = 2, SESSION lock_wait_timeout = 7")
                cursor.execute("SELECT GET_LOCK('left', 0)")
                cursor.execute("CREATE TEMPORARY TABLE temporary (number INT)")
        assert session() == first
        with connections["shard"].cursor() as cursor:
            cursor.execute(ask)
            assert cursor.fetchone() == fresh
            cursor.execute("CREATE TEMPORARY TABLE temporary (number INT)")

    def test_close_closes(self, cluster: Cluster, shard: Any, room: Room) -> None:
        connection = shard(CLUSTER={"POOL": True}, CONN_MAX_AGE=0)
        first = session()
        connection.close()
        assert room.counts() == (0, 0)
        wait_until(lambda: first not in sessions(cluster), "the session has ended")

    @pytest.mark.parametrize("how", ["KILL {}", "SET GLOBAL read_only = 1"])
    def test_one_that_died_or_lost_its_role_while_it_waited_is_not_given_out(
        self, cluster: Cluster, endpoint: Any, shard: Any, room: Room, how: str
    ) -> None:
        instances = [f"127.0.0.1:{server.port}" for server in cluster.servers]
        shard(CLUSTER={"POOL": True, "INSTANCES": instances, "DEADLINE_SECONDS": PATIENCE_SECONDS}, CONN_MAX_AGE=0)
        with request():
            first = session()
        old = cluster.primary
        old.sql(how.format(first))
        if how.startswith("SET"):
            cluster.settle()
            cluster.promote()
        with request(), transaction.atomic("shard"), connections["shard"].cursor() as cursor:
            cursor.execute("CREATE TABLE written (number INT)")
            cursor.execute("SELECT @@server_id")
            assert cursor.fetchone() == (cluster.primary.number,)
        assert room.counts() == (0, 1)

    def test_what_waits_is_closed_in_time_without_another_request(self, cluster: Cluster, shard: Any) -> None:
        shard(CLUSTER={"POOL": True, "IDLE_SECONDS": 0.2}, CONN_MAX_AGE=0)
        with request():
            first = session()
        wait_until(lambda: first not in sessions(cluster), "the session has ended")
        with request():
            second = session()
        assert second != first
        wait_until(lambda: second not in sessions(cluster), "the next session has ended, too")

    def test_a_block_that_is_open_is_not_given_away(self, cluster: Cluster, shard: Any, room: Room) -> None:
        shard(CLUSTER={"POOL": True}, CONN_MAX_AGE=0)
        connections["shard"].set_autocommit(False)
        session()
        connections["shard"].close_if_unusable_or_obsolete()
        assert room.counts() == (0, 0)

    def test_a_forked_child_leaves_the_parents_sessions_alone(self, cluster: Cluster, shard: Any, room: Room) -> None:
        shard(CLUSTER={"POOL": True}, CONN_MAX_AGE=0)
        with request():
            first = session()
        pid = os.fork()
        if pid == 0:
            # The child has the objects still, and what they do when they go must not reach the server.
            room._waiting.clear()
            gc.collect()
            os._exit(0 if room_of("shard").counts() == (0, 0) else 1)
        assert os.waitpid(pid, 0)[1] == 0
        with request():
            assert session() == first

    def test_connections_that_are_kept_cannot_be_shared(self, shard: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"\['shard'\]\['CLUSTER'\]\['POOL'\] needs CONN_MAX_AGE 0"):
            shard(CLUSTER={"POOL": True}, CONN_MAX_AGE=60).ensure_connection()


NAMES = ("app", "app_second", "app_third")


@pytest.fixture
def three(cluster: Cluster, tmp_path: Path) -> Iterator[Any]:
    """``track`` on three databases of the primary, each with a replica; nothing is open."""
    server = cluster.primary
    server.sql(*(f"CREATE OR REPLACE DATABASE {name}" for name in NAMES))
    shards = {name: entry(server.port, NAME=name) for name in NAMES}
    replica = {"CLUSTER": {"ROLE": "replica"}}
    copies = {f"{name}_ro": entry(cluster.replicas[0].port, NAME=name, **replica) for name in NAMES}
    logical = track() | {"SHARDS": {f"s-{name}": {"PRIMARY": name, "REPLICAS": [f"{name}_ro"]} for name in NAMES}}
    numbers = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "numbers"), "TEST": {}}
    with databases(track=logical | {"SCATTER": "allow"}, numbers=numbers, **shards, **copies), own_writes({}):
        make_tables("numbers")
        for name in NAMES:
            with connections[name].schema_editor() as editor:
                editor.create_model(Tag)
        cluster.settle()
        close_all(connections)
        yield connections["track"]
        close_all(connections)


def close_all(aliases: Any) -> None:
    directory.close_all()
    for alias in aliases:
        connections[alias].close()


def asked(server: Server) -> list[str]:
    """The databases that the application has a session in."""
    rows = server.sql("SELECT db FROM information_schema.processlist WHERE user = 'app' AND db IS NOT NULL")
    return sorted(row["db"] for row in rows)


def test_a_routed_query_opens_one_connection_and_a_scatter_one_to_each_shard(cluster: Cluster, three: Any) -> None:
    """Counted by the servers: all else are threads and processes that have one each of what they use."""
    primary, replica = cluster.primary, cluster.replicas[0]
    wait_until(lambda: asked(primary) == [], "what made the tables has gone")
    site = next(n for n in range(1, 1000) if three.group.mapping.place(n) == "s-app_second")
    with reading_from_primary():
        assert list(Tag.objects.filter(site=site)) == []
        assert (asked(primary), asked(replica)) == (["app_second"], [])
        assert Tag.objects.count() == 0
    assert (asked(primary), asked(replica)) == (sorted(NAMES), [])
    assert list(Tag.objects.filter(site=site)) == []
    assert (asked(primary), asked(replica)) == (sorted(NAMES), ["app_second"])


def test_the_server_says_how_many_it_has_and_a_check_whether_it_takes_the_worst_case(
    cluster: Cluster, three: Any
) -> None:
    with reading_from_primary():
        assert Tag.objects.count() == 0
    told = connections_of(connections["app"])
    assert told is not None
    assert (told.own, told.limit) == (1, 60)
    assert told.open >= len(NAMES)
    with override_settings(HORIZON_CONNECTIONS={"PROCESSES": 10, "THREADS": 3}):
        messages = check_servers(databases=["track"])
        assert check_servers(databases=["crm"]) == []
    assert [message.id for message in messages] == ["horizon_shards.W122"] * 2
    assert f"90 connections to 127.0.0.1:{cluster.primary.port} (app, app_second, app_third), which takes 60" in str(
        messages[0].msg
    )
    with override_settings(HORIZON_CONNECTIONS={"PROCESSES": 10, "THREADS": 2}):
        assert check_servers(databases=["track"]) == []
